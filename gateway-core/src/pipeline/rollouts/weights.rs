//! The weights of a model's versions, as far as they are known here, and what the model's cell is told.

use std::sync::Arc;
use std::time::Duration;

use crate::cells::CellAddress;
use crate::config::Model;
use crate::ids::{ModelName, VersionName};
use crate::observe::{Event, RollingOut};
use crate::pipeline::context::{Exchange, Waiting, within};
use crate::pipeline::state::{Gateway, WeightsLook};
use crate::platform::Platform;
use crate::rollout::{Evidence, EvidenceReport, KnownWeights, RolloutPolicy, Standing};
use crate::time::Timestamp;

impl<P: Platform> Exchange<P> {
    /// The weights of a model's versions. A request that comes after a rest waits for its cell: a moment where anything is
    /// known, and as long as it may for cells where nothing is, but for what is left to clusters'. What is known goes on while
    /// that is silent, and without it the configuration's weights hold.
    pub async fn weights(&self, model: &Model, policy: &RolloutPolicy) -> Arc<KnownWeights> {
        let now = self.platform.now();
        let (known, look) = self.gateway.rollouts.with(&model.name, |known| known.look(now));
        let limit = match look {
            WeightsLook::NotNeeded => None,
            WeightsLook::Behind => {
                self.exchange_evidence(model, policy);
                None
            }
            WeightsLook::Stale => Some(STALE_WAIT),
            WeightsLook::Unknown => Some(self.cell_time.left_but_for_clusters()),
        };
        let known = match (limit, CellAddress::of_rollout(model)) {
            (Some(limit), Some(cell)) => {
                // What it is told may be lost with the request; so this one only asks.
                let asked = self.call_cell(&cell, report(policy, 0, Vec::new()), Waiting::Request, limit);
                let standing = asked.await.ok();
                on_standing(&self.gateway, &model.name, (now, self.platform.now()), policy, standing);
                self.gateway.rollouts.with(&model.name, |known| known.look(now).0)
            }
            _ => known,
        };
        known.unwrap_or_else(|| Arc::new(KnownWeights::initial(&policy.weights)))
    }

    /// A request has met that at a version, under weights of that revision.
    pub fn on_met(&self, model: &Model, revision: u64, version: &VersionName, met: &Evidence) {
        let now = self.platform.now();
        let rollouts = &self.gateway.rollouts;
        if rollouts.with(&model.name, |known| known.on_met(now, revision, version, met))
            && let Some(policy) = &model.rollout
        {
            self.exchange_evidence(model, policy);
        }
    }

    /// Tells the cell what is pending, and learns the weights. What gets lost on the way is lost: others will be met.
    fn exchange_evidence(&self, model: &Model, policy: &RolloutPolicy) {
        let Some(cell) = CellAddress::of_rollout(model) else {
            return;
        };
        let asked = self.platform.now();
        let pending = self
            .gateway
            .rollouts
            .with(&model.name, |known| known.take_pending(asked));
        let report = report(policy, pending.revision, pending.seen);
        let (gateway, platform) = (Arc::clone(&self.gateway), self.platform.clone());
        let (name, policy, limit) = (model.name.clone(), policy.clone(), self.config.timeouts.cells);
        self.platform.after_response(async move {
            let told = within(&platform, limit, platform.call(&cell, report)).await;
            let standing = told.and_then(Result::ok);
            on_standing(&gateway, &name, (asked, platform.now()), &policy, standing);
        });
    }
}

fn report(policy: &RolloutPolicy, revision: u64, seen: Vec<(VersionName, Evidence)>) -> EvidenceReport {
    EvidenceReport {
        policy: policy.clone(),
        revision,
        seen,
    }
}

/// The cell was asked at one moment, and has told by another how it stands, or has not.
fn on_standing(
    gateway: &Gateway,
    model: &ModelName,
    (asked, now): (Timestamp, Timestamp),
    policy: &RolloutPolicy,
    standing: Option<Standing>,
) {
    let Some(standing) = standing else {
        gateway.rollouts.with(model, |known| known.on_failed(now));
        gateway.tell(now, &Event::Rollout(RollingOut::Unreachable { model }));
        return;
    };
    if let Some(change) = &standing.changed {
        gateway.tell(now, &Event::Rollout(RollingOut::Changed { model, change }));
    }
    let weights = KnownWeights::told(&standing, asked, &policy.weights);
    gateway.rollouts.with(model, |known| known.on_told(asked, weights));
}

/// How long a request waits for the weights where it knows older ones: longer than a call within a continent takes.
const STALE_WAIT: Duration = Duration::from_millis(100);
