//! One request, admitted, ready to be dispatched: what it is, where it may go, and what it holds.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::count::Counts;
use super::plan::{Plan, Target};
use crate::api::{Generation, OutputLimit};
use crate::auth::Caller;
use crate::cache::CacheStatus;
use crate::cluster::HotDigest;
use crate::config::{CannedReason, Model};
use crate::ids::{Tokens, VersionName};
use crate::ladder::AttemptError;
use crate::observe::{Event, RollingOut};
use crate::pipeline::canned::Unanswered;
use crate::pipeline::context::Exchange;
use crate::pipeline::leases::Reservation;
use crate::pipeline::response_cache::{Batch, Caching};
use crate::pipeline::rollouts::Trials;
use crate::pipeline::warmth::{Identity, write_first_turn};
use crate::platform::Platform;
use crate::time::Timestamp;
use crate::tokens::Count;

/// Who sends an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Sender {
    /// A client: it is told who answered, and its stream is kept alive before anybody does.
    Client,
    /// A gateway at the edge, for a client: it wants to know all that it would know had it asked the replica itself.
    Edge {
        /// The hot prefixes of the cluster that it knows of.
        known_hot: HotDigest,
        /// Whether the cluster is where the request goes if nothing is known of its prompt.
        is_home: bool,
    },
}

/// An order. Everything from the first attempt to the last byte works on it, and on nothing that was before it.
#[derive(Debug)]
pub(in crate::pipeline) struct Order<P: Platform> {
    pub exchange: Rc<Exchange<P>>,
    /// Who sends it.
    pub sender: Sender,
    /// How many replicas it may come to.
    pub attempts: u32,
    /// Whether it may wait for room.
    pub may_wait: bool,
    /// Whether it may be held where there are no replicas.
    pub may_be_held: bool,
    /// Whose it is, and at which priority.
    pub caller: Caller,
    /// The model that was asked for.
    pub model: Arc<Model>,
    /// The endpoint, what was read of the body, and the body.
    pub request: Generation,
    /// What its prompt begins with.
    pub identity: Identity,
    /// What it takes, of each model.
    pub counts: Counts,
    /// Where it may go.
    pub plan: Plan,
    /// The versions that it has of models which have several, and what it meets there.
    pub trials: Trials<P>,
    /// Until when an answer must have begun.
    pub deadline: Timestamp,
    /// What it has reserved of its tenant's budgets. It is settled when the order is dropped, if not before.
    pub reservation: Reservation<P>,
    /// What becomes of its answer in the response cache; `None` where it does not use that.
    pub caching: Option<Rc<Caching<P>>>,
    /// The inputs that it is a part of, where it asks for embeddings and uses the response cache.
    pub batch: Option<Rc<Batch<P>>>,
    /// Most output tokens of each answer that these budgets bear; `None` where none bounds tokens.
    pub most_output: Option<Tokens>,
}

impl<P: Platform> Order<P> {
    /// Whether nothing but a stream will do: a client wants one. The edge asks for one whatever its client wants, and takes what
    /// comes.
    pub fn is_for_stream(&self) -> bool {
        match self.sender {
            Sender::Client => self.request.stream,
            Sender::Edge { .. } => false,
        }
    }

    /// What the response cache has to do with an answer of an engine.
    pub fn cache_status(&self) -> CacheStatus {
        if self.caching.is_some() || self.batch.is_some() {
            CacheStatus::Miss
        } else {
            CacheStatus::Bypass
        }
    }

    /// Whether that target can answer: what is known of a batch of inputs is of the model that was asked for.
    pub fn may_be_answered_by(&self, target: &Target<'_>) -> bool {
        target.tier == 0 || !self.batch.as_ref().is_some_and(|batch| batch.is_partly_known())
    }

    /// An attempt at that target failed.
    pub fn on_failed(&self, target: &Target<'_>, error: &AttemptError) {
        if matches!(error, AttemptError::Blamed { .. }) {
            self.trials.on_own_fault();
        } else if let Some(trial) = self.trials.of(target.tier)
            && Some(trial.version()) == target.serving.version.as_ref()
        {
            trial.on_failed(error);
        }
    }

    /// The answer that passes, of that tier, breaks off.
    pub fn on_broken_off(&self, tier: usize, error: &AttemptError) {
        if let Some(trial) = self.trials.of(tier) {
            trial.on_broken_off(error);
        }
    }

    /// The target answers, with a first token now where the answer `is_stream`. Gives the version that the order has there.
    pub fn on_answered(&self, target: &Target<'_>, is_stream: bool) -> Option<VersionName> {
        let served = target.serving.version.as_ref()?;
        let trial = self.trials.of(target.tier)?;
        let version = trial.version();
        let visit = self.identity.visit();
        if served == version {
            let expected = visit.as_ref().map_or(Tokens(0), |visit| visit.expected);
            let uncached = Tokens(target.count.prompt.0.saturating_sub(expected.0));
            trial.on_answered(is_stream.then_some(uncached));
            if let (Some(row), Some(visit)) = (trial.row(), visit) {
                write_first_turn(&self.exchange, row.clone(), visit.id);
            }
        } else {
            let model = &target.model.name;
            let fell_back = RollingOut::FellBack { model, version, served };
            self.exchange.tell(&Event::Rollout(fell_back));
        }
        Some(version.clone())
    }

    /// The order as one that no engine answers.
    pub fn unanswered(&self, reason: CannedReason, recovery: Option<Duration>) -> Unanswered<'_> {
        Unanswered {
            tenant: &self.caller.tenant,
            model: &self.model,
            request: &self.request,
            reason,
            recovery,
        }
    }

    /// What bounds its answers, besides its client, at a model for which it has that count.
    pub fn output_limit(&self, count: &Count) -> OutputLimit {
        OutputLimit {
            room: count.room,
            surely_left: count.surely_left(),
            most: self.most_output,
        }
    }
}
