//! One attempt: a permit, a request to a replica, and the beginning of its answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::refusal::refusal;
use super::upstream::{expect_content_type, send, whole};
use super::{ClusterClient, Permit, PermitSlot, Wanted};
use crate::api::{AnswerRewriter, AskedAs, WholeReason};
use crate::cluster::Outcome;
use crate::config::Replica;
use crate::ids::{PrefixKey, ReplicaName};
use crate::ladder::AttemptError;
use crate::observe::Event;
use crate::pipeline::answer::{Begun, Chunks, Listeners, Passing, assembled, begin_passing, read_whole};
use crate::pipeline::intake::{Order, Target};
use crate::pipeline::leases::Owed;
use crate::pipeline::warmth::Prospect;
use crate::platform::Platform;
use crate::time::Timestamp;

/// What came of an attempt.
pub(in crate::pipeline) enum UpstreamAnswer<P: Platform> {
    /// All of it: a body of JSON or, for a client that wants a stream, its events.
    Whole(Bytes),
    /// A stream of which the first event is here.
    Stream(Box<Chunks<P>>),
    /// A whole answer of which enough is here to pass it on. It must have ended by that time.
    Passing(Box<Passing<P>>, Timestamp),
}

/// What has begun to come from a replica.
enum Opened<P: Platform> {
    /// A stream of which the first event is here.
    Stream(Box<Chunks<P>>),
    /// The head of a whole answer.
    Whole(Box<OpenedWhole<P>>),
}

/// The body of a whole answer, and what reads it.
struct OpenedWhole<P: Platform> {
    body: P::Body,
    rewriter: AnswerRewriter,
    listeners: Listeners<P>,
}

/// An attempt that came to nothing.
#[derive(Debug)]
pub(in crate::pipeline) struct Failed {
    /// Which replica, as an index into the cluster's; `None` where none was asked.
    pub replica: Option<usize>,
    pub error: AttemptError,
}

/// Asks one replica of the target that is none of those that were `tried`. The permit is in the slot while a replica works
/// on the order: with a stream, also afterwards, and after a failure until that is judged.
///
/// # Errors
/// Why there is no answer.
pub(in crate::pipeline) async fn attempt<P: Platform>(
    order: &Rc<Order<P>>,
    slot: &PermitSlot<P>,
    target: &Target<'_>,
    tried: &[ReplicaName],
) -> Result<UpstreamAnswer<P>, Failed> {
    let admitted = admit(order, target, tried).await;
    let (permit, limit) = admitted.map_err(|error| Failed { replica: None, error })?;
    let index = permit.replica_index();
    slot.hold(permit);
    order.reservation.on_dispatched(match order.request.asked_as {
        AskedAs::Stream => Owed::Prompt(target.count.prompt),
        AskedAs::Whole(_) => Owed::Reserved,
    });
    let replica = &target.serving.cluster.replicas[index];
    let until = order.exchange.platform.now() + order.exchange.config.timeouts.whole_answer;
    let opened = order.exchange.within(limit, open(order, target, replica)).await;
    let answered = match opened.unwrap_or(Err(AttemptError::FirstByteTimeout)) {
        Ok(opened) => {
            slot.on_answered();
            take(order, opened, target.model.name.as_str(), until).await
        }
        Err(error) => Err(error),
    };
    match answered {
        Ok(answer) => {
            match &answer {
                UpstreamAnswer::Whole(_) => {
                    on_answer(order, target);
                    slot.release(Outcome::Served);
                }
                UpstreamAnswer::Stream(_) => on_answer(order, target),
                // What it is told as and the permit wait for its end.
                UpstreamAnswer::Passing(..) => {}
            }
            Ok(answer)
        }
        Err(error) => {
            let replica = Some(index);
            Err(Failed { replica, error })
        }
    }
}

/// A permit, and how long the attempt may take until an answer begins.
async fn admit<P: Platform>(
    order: &Order<P>,
    target: &Target<'_>,
    tried: &[ReplicaName],
) -> Result<(Permit<P>, Duration), AttemptError> {
    let limit = time_left(order)?;
    let client = ClusterClient::new(&order.exchange, &target.serving.cluster);
    let (cluster, hot) = (Arc::clone(&client.cluster), client.with(|cache| cache.hot_set()));
    let prospect = order
        .identity
        .prospect(&order.exchange, &cluster, &hot, target.count.prompt);
    let prospect = prospect.await;
    let permit = Permit::acquire(client, wanted(order, target, &prospect), tried).await?;
    let found = (permit.choice(), permit.expected_warm());
    order
        .identity
        .on_dispatched(&cluster, &prospect, permit.replica_index(), found);
    let limit = match order.request.asked_as {
        AskedAs::Stream if permit.is_probe() => limit.min(PROBE_BEGINS_WITHIN + prefill(target)),
        AskedAs::Stream | AskedAs::Whole(_) => limit,
    };
    Ok((permit, limit))
}

/// How long the target's prompt keeps a replica that has nothing else to do.
fn prefill(target: &Target<'_>) -> Duration {
    let seconds = target.count.prompt.0 as f64 / target.serving.cluster.prefill_tokens_per_s;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn on_answer<P: Platform>(order: &Order<P>, target: &Target<'_>) {
    let exchange = &order.exchange;
    let (cluster, model) = (&target.serving.cluster.name, &target.model.name);
    let after = exchange.platform.now().since(exchange.arrived);
    exchange.tell(&if order.request.stream {
        Event::FirstToken { cluster, model, after }
    } else {
        Event::WholeAnswer { cluster, model, after }
    });
}

/// How long this attempt may take until an answer begins.
fn time_left<P: Platform>(order: &Order<P>) -> Result<Duration, AttemptError> {
    let timeouts = &order.exchange.config.timeouts;
    let left = order.deadline.since(order.exchange.platform.now());
    match order.request.asked_as {
        _ if left.is_zero() => Err(AttemptError::Deadline),
        AskedAs::Stream if order.request.stream => Ok(timeouts.first_byte.min(left)),
        AskedAs::Stream => Ok(timeouts.first_byte.min(left).min(timeouts.whole_answer)),
        AskedAs::Whole(_) => Ok(timeouts.whole_answer),
    }
}

fn wanted<P: Platform>(order: &Order<P>, target: &Target<'_>, prospect: &Prospect) -> Wanted {
    let config = &order.exchange.config;
    let output = target.count.expected_output(&order.request, config.estimates.output.0);
    Wanted {
        kv_tokens: target.count.prompt + output,
        affinity: prospect.affinity.map(|PrefixKey(key)| key),
        prompt: prospect.outline.clone(),
        headroom_percent: config.headroom.percent(order.caller.priority),
    }
}

/// Sends the request, and waits until an answer begins.
async fn open<P: Platform>(
    order: &Rc<Order<P>>,
    target: &Target<'_>,
    replica: &Replica,
) -> Result<Opened<P>, AttemptError> {
    let Order { exchange, request, .. } = &**order;
    let (head, body) = send(order, target, replica).await?.into_parts();
    if head.status != StatusCode::OK {
        return Err(refusal(exchange, &head, body).await);
    }
    let dialect = request.dialect();
    let has_type = |is_stream| expect_content_type(&head.headers, dialect.content_type(is_stream));
    let is_stream = request.asked_as == AskedAs::Stream && has_type(true).is_ok();
    if !is_stream {
        // What stands between here and an engine may make a whole answer of a stream.
        has_type(request.stream)?;
    }
    // Whole answers have the usage.
    let keep_usage = request.include_usage || !request.stream;
    let rewriter = dialect.rewriter(target.model.name.as_str(), keep_usage);
    let listeners = Listeners::new(order, target);
    if !is_stream {
        return Ok(Opened::Whole(Box::new(OpenedWhole {
            body,
            rewriter,
            listeners,
        })));
    }
    let mut chunks = Chunks::new(exchange, body, rewriter, listeners);
    chunks.begin().await?;
    Ok(Opened::Stream(Box::new(chunks)))
}

/// The answer as its client wants it: a stream once it has begun, any other when all of it is here, or so much of one that
/// is not generated that the rest can pass. All of it must be here by `until`.
async fn take<P: Platform>(
    order: &Order<P>,
    opened: Opened<P>,
    model: &str,
    until: Timestamp,
) -> Result<UpstreamAnswer<P>, AttemptError> {
    let Order { exchange, request, .. } = order;
    let limit = exchange.config.sizes.response_body_bytes;
    match opened {
        Opened::Stream(chunks) if request.stream => Ok(UpstreamAnswer::Stream(chunks)),
        Opened::Stream(chunks) => {
            let assembler = request.dialect().assembler(limit);
            let body = assembled(exchange, chunks, assembler, until).await?;
            Ok(UpstreamAnswer::Whole(body))
        }
        Opened::Whole(opened) => {
            let OpenedWhole {
                body,
                rewriter,
                listeners,
            } = *opened;
            let left = until.since(exchange.platform.now());
            if request.asked_as == AskedAs::Whole(WholeReason::NotGenerated) {
                let rewriters = (rewriter, request.dialect().passing_rewriter(model));
                let begun = exchange
                    .within(left, begin_passing(exchange, body, rewriters, listeners))
                    .await;
                return Ok(match begun.unwrap_or(Err(AttemptError::FirstByteTimeout))? {
                    Begun::Whole(body) => UpstreamAnswer::Whole(body),
                    Begun::Passing(passing) => UpstreamAnswer::Passing(passing, until),
                });
            }
            let body = exchange.within(left, whole::<P>(body, limit)).await;
            let body = body.unwrap_or(Err(AttemptError::FirstByteTimeout))?;
            read_whole(body, &rewriter, listeners).map(UpstreamAnswer::Whole)
        }
    }
}

/// A replica that is probed has had a rest: it begins a stream within this time and that of the prompt's prefill, or it has
/// failed again, and its client need not wait as long as elsewhere for an engine that hangs.
const PROBE_BEGINS_WITHIN: Duration = Duration::from_secs(10);
