//! What this process knows of models' rollouts: the weights, as the models' cells told them last, and what requests have
//! met that has not gone there yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::ids::{ModelName, VersionName};
use crate::rollout::{Evidence, KnownWeights};
use crate::time::Timestamp;

/// What is known by model. Their number is that of the configuration's models with versions.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Rollouts(Mutex<BTreeMap<ModelName, ModelRollout>>);

/// What is known of one model's.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct ModelRollout {
    weights: Option<Arc<KnownWeights>>,
    /// When the cell was asked that has answered last.
    heard: Option<Timestamp>,
    /// When it was last asked.
    asked: Option<Timestamp>,
    /// When it last did not answer.
    failed: Option<Timestamp>,
    /// When it was last told what requests have met.
    told: Option<Timestamp>,
    pending: Pending,
}

/// What the cell has not been told.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Pending {
    /// Of the weights under which it was met.
    pub revision: u64,
    pub seen: Vec<(VersionName, Evidence)>,
}

/// What a request has to do about the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum WeightsLook {
    /// Nothing: what is known holds.
    NotNeeded,
    /// Ask, behind its own back.
    Behind,
    /// Ask, and wait a moment: weights that were announced since may hold already.
    Stale,
    /// Ask, and wait: nothing is known.
    Unknown,
}

impl Rollouts {
    /// Looks at what is known of a model's rollout, or changes it.
    pub fn with<T>(&self, model: &ModelName, work: impl FnOnce(&mut ModelRollout) -> T) -> T {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match models.get_mut(model) {
            Some(known) => work(known),
            None => work(models.entry(model.clone()).or_default()),
        }
    }
}

impl ModelRollout {
    /// The weights as they are known, if they are, and what a request that arrives now has to do about them. Who is told to
    /// ask behind its back counts as asking from here on.
    pub fn look(&mut self, now: Timestamp) -> (Option<Arc<KnownWeights>>, WeightsLook) {
        let is_within = |moment: Option<Timestamp>, time| moment.is_some_and(|moment| now.since(moment) < time);
        let look = if is_within(self.heard, ASK_EVERY) || is_within(self.failed, ASK_AGAIN) {
            WeightsLook::NotNeeded
        } else if self.weights.is_none() {
            WeightsLook::Unknown
        } else if !is_within(self.heard, STALE) {
            WeightsLook::Stale
        } else if is_within(self.asked, ASK_EVERY) {
            WeightsLook::NotNeeded
        } else {
            WeightsLook::Behind
        };
        if look == WeightsLook::Behind {
            self.asked = Some(now);
        }
        (self.weights.clone(), look)
    }

    /// The cell, asked at that moment, has told the weights.
    pub fn on_told(&mut self, asked: Timestamp, weights: KnownWeights) {
        // A reply that was overtaken says nothing new.
        if self.heard.is_none_or(|heard| heard <= asked) {
            self.weights = Some(Arc::new(weights));
            self.heard = Some(asked);
            self.failed = None;
        }
    }

    /// The cell has not answered.
    pub fn on_failed(&mut self, now: Timestamp) {
        self.failed = Some(now);
    }

    /// A request has met something under the weights of that revision. Gives whether the cell is to be told.
    pub fn on_met(&mut self, now: Timestamp, revision: u64, version: &VersionName, met: &Evidence) -> bool {
        if revision < self.pending.revision {
            return false;
        }
        if revision > self.pending.revision {
            self.pending = Pending::default();
            self.pending.revision = revision;
        }
        let seen = &mut self.pending.seen;
        match seen.iter_mut().find(|(known, _)| known == version) {
            Some((_, evidence)) => evidence.add(met),
            None => seen.push((version.clone(), met.clone())),
        }
        self.told.is_none_or(|told| now.since(told) >= ASK_EVERY)
    }

    /// What the cell has not been told, which it is about to be.
    pub fn take_pending(&mut self, now: Timestamp) -> Pending {
        let revision = self.pending.revision;
        let seen = std::mem::take(&mut self.pending.seen);
        if !seen.is_empty() {
            self.told = Some(now);
        }
        Pending { revision, seen }
    }
}

/// Time between two questions to a cell, and between two reports.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Weights are announced so long before they hold: who has heard of the cell since knows of all that hold.
const STALE: Duration = Duration::from_secs(3);
/// A cell that did not answer is left alone for so long.
const ASK_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Weights;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn weights() -> KnownWeights {
        KnownWeights::initial(&Weights::of_parts([("v1".into(), 1)]).expect("weights"))
    }

    #[test]
    fn a_request_waits_for_the_cell_only_where_announced_weights_may_hold_unheard_of() {
        let mut known = ModelRollout::default();
        let look = |known: &mut ModelRollout, millis| known.look(at(millis)).1;
        assert_eq!(look(&mut known, 0), WeightsLook::Unknown);
        known.on_failed(at(10));
        assert_eq!(look(&mut known, 1_009), WeightsLook::NotNeeded);
        assert_eq!(look(&mut known, 1_010), WeightsLook::Unknown);
        known.on_told(at(1_010), weights());
        assert_eq!(look(&mut known, 3_009), WeightsLook::NotNeeded);
        assert_eq!(look(&mut known, 3_010), WeightsLook::Behind);
        assert_eq!(look(&mut known, 3_010), WeightsLook::NotNeeded, "somebody asks");
        assert_eq!(look(&mut known, 4_010), WeightsLook::Stale, "and got no answer");
        known.on_failed(at(4_110));
        assert_eq!(look(&mut known, 4_200), WeightsLook::NotNeeded);
        assert!(known.look(at(4_200)).0.is_some(), "what was known goes on");
        known.on_told(at(5_200), weights());
        known.on_told(at(1_000), KnownWeights::initial(&Weights::default()));
        assert_eq!(known.weights.as_deref(), Some(&weights()), "it was overtaken");
    }

    #[test]
    fn what_was_met_is_told_once_and_only_of_the_newest_weights() {
        let mut known = ModelRollout::default();
        let mut one = Evidence::default();
        one.on_request(None, None);
        let met = |known: &mut ModelRollout, millis, revision| known.on_met(at(millis), revision, &"v1".into(), &one);
        assert!(met(&mut known, 0, 1) && met(&mut known, 0, 1), "it was never told");
        assert_eq!(known.take_pending(at(0)).seen[0].1.requests, 2);
        assert!(!met(&mut known, 1_999, 1) && met(&mut known, 2_000, 2));
        assert!(!met(&mut known, 2_000, 1), "other weights hold by now");
        let told = known.take_pending(at(2_000));
        assert_eq!((told.revision, told.seen[0].1.requests), (2, 1));
        assert!(known.take_pending(at(2_000)).seen.is_empty());
    }
}
