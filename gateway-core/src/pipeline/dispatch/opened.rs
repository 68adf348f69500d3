//! What has begun to come of an answer, from a replica or from a region hop, and the answer as its client wants it.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;

use super::upstream::{expect_content_type, whole};
use crate::api::{AnswerRewriter, AskedAs, WholeReason};
use crate::config::Replica;
use crate::ladder::AttemptError;
use crate::observe::Event;
use crate::pipeline::answer::{Begun, Chunks, Listeners, Passing, assembled, begin_passing, read_whole};
use crate::pipeline::intake::{Order, Target};
use crate::pipeline::leases::Owed;
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

/// What has begun to come.
pub(super) enum Opened<P: Platform> {
    /// A stream of which the first event is here.
    Stream(Box<Chunks<P>>),
    /// The head of a whole answer.
    Whole(Box<OpenedWhole<P>>),
}

/// The body of a whole answer, and what reads it.
pub(super) struct OpenedWhole<P: Platform> {
    body: P::Body,
    rewriter: AnswerRewriter,
    listeners: Listeners<P>,
}

/// Reads an answer of status 200 until it begins, of that replica, where it is known.
///
/// # Errors
/// When it does not.
pub(super) async fn open<P: Platform>(
    order: &Rc<Order<P>>,
    target: &Target<'_>,
    (head, body): (&Parts, P::Body),
    replica: Option<&Replica>,
) -> Result<Opened<P>, AttemptError> {
    let Order { exchange, request, .. } = &**order;
    let dialect = request.dialect();
    let has_type = |is_stream| expect_content_type(&head.headers, dialect.content_type(is_stream));
    let is_stream = request.asked_as == AskedAs::Stream && has_type(true).is_ok();
    if !is_stream {
        // What stands between here and an engine may make a whole answer of a stream. Whether its client takes one, the edge knows.
        has_type(order.is_for_stream())?;
    }
    // Whole answers have the usage.
    let keep_usage = request.include_usage || !request.stream;
    let rewriter = dialect.rewriter(target.model.name.as_str(), keep_usage);
    let listeners = Listeners::new(order, target, replica);
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
pub(super) async fn take<P: Platform>(
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
            if request.asked_as == AskedAs::Whole(WholeReason::NotGenerated) && order.batch.is_none() {
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
            let body = read_whole(body, &rewriter, listeners)?;
            let joined = match &order.batch {
                Some(batch) => batch.join(body, model == order.model.name.as_str())?,
                None => body,
            };
            Ok(UpstreamAnswer::Whole(joined))
        }
    }
}

/// What is owed for the order while somebody works on it.
pub(super) fn owed<P: Platform>(order: &Order<P>, target: &Target<'_>) -> Owed {
    match order.request.asked_as {
        AskedAs::Stream => Owed::Prompt(target.count.prompt),
        AskedAs::Whole(_) => Owed::Reserved,
    }
}

/// An answer has begun that is told as such from its beginning. A stream's was expected so long after the request's arrival, as
/// far as that is known.
pub(super) fn on_answer<P: Platform>(order: &Order<P>, target: &Target<'_>, expected: Option<Duration>) {
    let exchange = &order.exchange;
    let (cluster, model) = (&target.serving.cluster.name, &target.model.name);
    let after = exchange.platform.now().since(exchange.arrived);
    if order.request.stream {
        exchange.on_served(cluster, |served| served.first_tokens.on(after));
    }
    exchange.tell(&if order.request.stream {
        Event::FirstToken {
            cluster,
            model,
            after,
            expected,
        }
    } else {
        Event::WholeAnswer { cluster, model, after }
    });
}
