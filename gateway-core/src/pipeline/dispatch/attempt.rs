//! One attempt: a permit, a request to a replica, and the beginning of its answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::opened::{Opened, UpstreamAnswer, on_answer, open, owed, take};
use super::readiness::expect_ready;
use super::refusal::refusal;
use super::upstream::send;
use super::{ClusterClient, Permit, PermitSlot, Wanted};
use crate::api::AskedAs;
use crate::cluster::{ChoiceReason, Outcome, QueueBounds, Queueing};
use crate::config::{Priority, Replica};
use crate::ids::{PrefixKey, ReplicaName};
use crate::ladder::{AttemptError, WaitsFor};
use crate::pipeline::intake::{Order, Target};
use crate::pipeline::warmth::{Destination, Prospect};
use crate::platform::Platform;

/// An attempt that came to nothing.
#[derive(Debug)]
pub(in crate::pipeline) struct Failed {
    pub asked: Asked,
    pub error: AttemptError,
}

/// Who was asked in an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Asked {
    /// A replica, as an index into the cluster's; `None` where none has room.
    Replica(Option<usize>),
    /// The cluster's region hop, which has asked so many replicas.
    Region { attempts: u32 },
    /// A second replica of the request's version, which has failed as the first did. The clusters of other versions begin
    /// at that place of the tier.
    Version { others_from: usize },
}

/// Asks one replica of the target that is none of those that were `tried`. Where none has room, it waits for what `waits`
/// says. The permit is in the slot while a replica works on the order: with a stream, also afterwards, and after a failure until that is judged.
///
/// # Errors
/// Why there is no answer.
pub(in crate::pipeline) async fn attempt_at_replica<P: Platform>(
    order: &Rc<Order<P>>,
    slot: &PermitSlot<P>,
    target: &Target<'_>,
    (tried, waits): (&[ReplicaName], WaitsFor),
) -> Result<UpstreamAnswer<P>, Failed> {
    let nobody = Asked::Replica(None);
    let admitted = admit(order, target, (tried, waits)).await;
    let (permit, limit) = admitted.map_err(|error| Failed { asked: nobody, error })?;
    let (index, is_probe) = (permit.replica_index(), permit.is_probe());
    let is_last = permit.choice() == Some(ChoiceReason::Degraded);
    slot.hold(permit);
    order.reservation.on_dispatched(owed(order, target));
    let attempts = &order.exchange.attempts;
    attempts.set(attempts.get() + 1);
    let replica = &target.serving.cluster.replicas[index];
    let until = order.exchange.platform.now() + order.exchange.config.timeouts.whole_answer;
    let asking = async {
        if is_probe {
            expect_ready(&order.exchange, &target.serving.cluster, replica, is_last).await?;
        }
        ask(order, target, replica).await
    };
    let opened = order.exchange.within(limit, asking).await;
    let answered = match opened.unwrap_or(Err(AttemptError::FirstByteTimeout)) {
        Ok(opened) => {
            slot.on_answered();
            take(order, opened, target.model.name.as_str(), until).await
        }
        Err(error) => Err(error),
    };
    match &answered {
        Ok(UpstreamAnswer::Whole(_)) => {
            on_answer(order, target, slot.expected_first_token());
            slot.release(Outcome::Served);
        }
        Ok(UpstreamAnswer::Stream(_)) => on_answer(order, target, slot.expected_first_token()),
        // What it is told as and the permit wait for its end.
        Ok(UpstreamAnswer::Passing(..)) | Err(_) => {}
    }
    answered.map_err(|error| Failed {
        asked: Asked::Replica(Some(index)),
        error,
    })
}

/// A permit, and how long the attempt may take until an answer begins.
async fn admit<P: Platform>(
    order: &Order<P>,
    target: &Target<'_>,
    (tried, waits): (&[ReplicaName], WaitsFor),
) -> Result<(Permit<P>, Duration), AttemptError> {
    time_left(order)?;
    let Prepared {
        client,
        prospect,
        wanted,
    } = prepare(order, target, waits).await;
    let cluster = Arc::clone(&client.cluster);
    let permit = Permit::acquire(client, wanted, tried).await?;
    let limit = time_left(order)?;
    let found = (permit.choice(), permit.expected_warm());
    order
        .identity
        .on_dispatched((permit.since(), &cluster), &prospect, permit.replica_index(), found);
    let limit = match order.request.asked_as {
        AskedAs::Stream if permit.is_probe() => limit.min(PROBE_BEGINS_WITHIN + prefill(target)),
        AskedAs::Stream | AskedAs::Whole(_) => limit,
    };
    Ok((permit, limit))
}

/// What is known before a cluster is asked for a replica.
pub(super) struct Prepared<P: Platform> {
    pub client: ClusterClient<P>,
    pub prospect: Prospect,
    pub wanted: Wanted,
}

/// What to ask of the target's cluster; where it has no room, the order waits for what `waits` says.
pub(super) async fn prepare<P: Platform>(order: &Order<P>, target: &Target<'_>, waits: WaitsFor) -> Prepared<P> {
    let client = ClusterClient::new(&order.exchange, &target.serving.cluster);
    let hot = client.with(|cache| cache.hot_set());
    let destination = Destination {
        cluster: &client.cluster,
        hot: &hot,
        is_home: target.is_home,
        tokens: target.count.prompt,
    };
    let prospect = order.identity.prospect(&order.exchange, destination).await;
    let wanted = wanted(order, target, &prospect, waits);
    Prepared {
        client,
        prospect,
        wanted,
    }
}

/// How long the target's prompt keeps a replica that has nothing else to do.
fn prefill(target: &Target<'_>) -> Duration {
    let seconds = target.count.prompt.0 as f64 / target.serving.cluster.prefill_tokens_per_s;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
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

fn wanted<P: Platform>(order: &Order<P>, target: &Target<'_>, prospect: &Prospect, waits: WaitsFor) -> Wanted {
    let config = &order.exchange.config;
    let output = target.count.expected_output(&order.request, config.estimates.output.0);
    Wanted {
        kv_tokens: target.serving.cluster.in_blocks(target.count.prompt + output),
        affinity: prospect.affinity.map(|PrefixKey(key)| key),
        prompt: prospect.outline.clone(),
        place: prospect.place,
        headroom_percent: config.headroom.percent(order.caller.priority),
        queueing: queueing(order, prospect, waits),
        is_new: order.exchange.is_first_visit(&target.serving.cluster.name),
    }
}

/// How the order waits where there is no room.
fn queueing<P: Platform>(order: &Order<P>, prospect: &Prospect, waits: WaitsFor) -> Queueing {
    let Order { exchange, caller, .. } = order;
    let queue = &exchange.config.queue;
    let left = order.deadline.since(exchange.platform.now());
    let longest = match waits {
        WaitsFor::Nothing => Duration::ZERO,
        WaitsFor::Turn => queue.wait,
        WaitsFor::Replicas => queue.hold,
    };
    Queueing {
        tenant: Queueing::tenant_key(&caller.tenant.name),
        session: prospect
            .affinity
            .map_or_else(|| exchange.platform.random(), |PrefixKey(key)| key),
        priority: match caller.priority {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        },
        bytes: order.request.body().len() as u64,
        waited: Duration::ZERO,
        patience: longest.saturating_sub(exchange.waited.get()).min(left),
        bounds: QueueBounds {
            requests: queue.requests,
            bytes: queue.bytes,
        },
        may_be_held: false,
    }
}

/// Sends the request to the replica, and waits until an answer begins.
async fn ask<P: Platform>(
    order: &Rc<Order<P>>,
    target: &Target<'_>,
    replica: &Replica,
) -> Result<Opened<P>, AttemptError> {
    let (head, body) = send(order, target, replica).await?.into_parts();
    if head.status != StatusCode::OK {
        return Err(refusal(&order.exchange, &head, body).await);
    }
    open(order, target, (&head, body), Some(replica)).await
}

/// A replica that is probed has had a rest: it begins a stream within this time and that of the prompt's prefill, or it has
/// failed again, and its client need not wait as long as elsewhere for an engine that hangs.
const PROBE_BEGINS_WITHIN: Duration = Duration::from_secs(10);
