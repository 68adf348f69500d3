//! The wait for a turn at a cluster: it asks the cluster's cell under one permit until that is given, refused, or nobody
//! has patience any more. Where the runtime holds calls, each lasts until the turn has come, or about a second; else it
//! pauses for as long as the cell says. When the request's client leaves, whoever holds the permit's call tells the cell.

use std::time::Duration;

use super::ClusterClient;
use crate::cells::CellError;
use crate::cluster::{Acquire, Acquired, Queued};
use crate::ladder::AttemptError;
use crate::observe::Event;
use crate::pipeline::context::{Paused, Waiting};
use crate::platform::Platform;
use crate::time::Timestamp;

/// Asks until there is something else to say than to wait.
///
/// # Errors
/// When the cell does not answer, or the gateway stops.
pub(super) async fn ask_in_turn<P: Platform>(
    client: &ClusterClient<P>,
    mut acquire: Acquire,
) -> Result<Acquired, AttemptError> {
    let patience = acquire
        .queueing
        .as_ref()
        .map_or(Duration::ZERO, |queueing| queueing.patience);
    let queued = match client.ask_under_policy(acquire.clone(), Waiting::Request).await? {
        Acquired::Queued(queued) => queued,
        acquired @ (Acquired::Granted(_) | Acquired::Refused(_)) => return Ok(acquired),
    };
    let wait = Wait::begin(client, patience, &queued);
    // Whether calls are held here is found out by one.
    let mut pause = Pause {
        length: Duration::ZERO,
        ..Pause::of(&queued)
    };
    loop {
        let left = wait.until.since(wait.now());
        let paused = client.exchange.pause(pause.length.min(left)).await;
        if paused == Paused::Stopped {
            return Err(AttemptError::Stopping);
        }
        if let Some(queueing) = &mut acquire.queueing {
            queueing.waited = wait.now().since(wait.begun);
            queueing.patience = wait.until.since(wait.now());
            queueing.may_be_held = true;
        }
        acquire.policy = client.policy();
        acquire.is_new = false;
        let asked = wait.now();
        let waiting = Waiting::Turn { held: pause.held };
        match client.ask_under_policy(acquire.clone(), waiting).await {
            Ok(Acquired::Queued(queued)) => {
                client.on_load(queued.load, queued.knows_policy);
                pause = Pause::of(&queued);
                pause.length = pause.length.saturating_sub(wait.now().since(asked));
            }
            Ok(acquired @ (Acquired::Granted(_) | Acquired::Refused(_))) => return Ok(wait.end(acquired)),
            Err(error) => pause.after(error, &wait)?,
        }
    }
}

/// How long not to ask, and how long the next call may be held.
struct Pause {
    length: Duration,
    held: Duration,
}

impl Pause {
    fn of(queued: &Queued) -> Self {
        Self {
            length: queued.again_in,
            held: queued.hold_for,
        }
    }

    /// A call was lost: its place is kept for a while, and the next one may do better.
    fn after<P: Platform>(&mut self, error: CellError, wait: &Wait<'_, P>) -> Result<(), AttemptError> {
        if wait.now() >= wait.until {
            return Err(error.into());
        }
        self.length = AFTER_A_LOSS;
        Ok(())
    }
}

/// A wait of which somebody hears when it is over, however that comes.
struct Wait<'a, P: Platform> {
    client: &'a ClusterClient<P>,
    begun: Timestamp,
    until: Timestamp,
    ended_as: &'static str,
}

impl<'a, P: Platform> Wait<'a, P> {
    fn begin(client: &'a ClusterClient<P>, patience: Duration, queued: &Queued) -> Self {
        let begun = client.on_load(queued.load, queued.knows_policy);
        // What is kept here of the cluster is for those that wait.
        client.give_back_idle_now();
        client.on_weighed(queued.weighed.as_deref());
        client.exchange.tell(&Event::Queued {
            cluster: &client.cluster.name,
            expected: queued.expected,
        });
        Self {
            client,
            begun,
            until: begun + patience,
            ended_as: "left",
        }
    }

    fn now(&self) -> Timestamp {
        self.client.exchange.platform.now()
    }

    fn end(mut self, acquired: Acquired) -> Acquired {
        self.ended_as = match &acquired {
            Acquired::Granted(_) => "served",
            Acquired::Refused(refusal) => refusal.dropped.map_or("refused", |dropped| dropped.as_str()),
            Acquired::Queued(_) => self.ended_as,
        };
        acquired
    }
}

impl<P: Platform> Drop for Wait<'_, P> {
    fn drop(&mut self) {
        let (exchange, after) = (&self.client.exchange, self.now().since(self.begun));
        exchange.waited.set(exchange.waited.get() + after);
        exchange.tell(&Event::Waited {
            cluster: &self.client.cluster.name,
            ended_as: self.ended_as,
            after,
        });
    }
}

/// As often as those ask that wait longest.
const AFTER_A_LOSS: Duration = Duration::from_millis(250);
