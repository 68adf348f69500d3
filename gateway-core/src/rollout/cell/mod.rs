//! The rollout cell of a model: which weights its versions have, and have had; the rollout that is under way, with what
//! requests have met since its last step; and what has changed of late. It goes a step forward, and takes a version back,
//! when a report comes that says so: it has no clock of its own. New weights are announced: they come into force a little
//! later, when every gateway that has requests knows of them, so that all begin at once. A version that is taken back
//! loses its conversations at the moment that a gateway hears of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::judge::judge;
use super::message::{
    Change, ChangeKind, Ended, EvidenceReport, OrderRefused, OrderRollout, Ordered, RolloutAction, RolloutCommand,
    RolloutReply, RolloutStatus, Running, Standing, WeightsSince,
};
use super::policy::RolloutPolicy;
use super::weights::Weights;
use crate::ids::VersionName;
use crate::time::Timestamp;

/// The state of a rollout cell. Where nobody ever set weights it knows none: those of the configuration hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RolloutCell {
    /// The oldest first, the last one in force or announced.
    past: Vec<Past>,
    running: Option<Run>,
    ended: Option<Logged>,
    log: Vec<Logged>,
    /// What requests have met under the last weights.
    evidence: BTreeMap<VersionName, Evidence>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Past {
    revision: u64,
    weights: Weights,
    /// When they come into force.
    since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    version: VersionName,
    before: Weights,
    since: Timestamp,
    is_paused: bool,
}

/// Something that has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Logged {
    kind: ChangeKind,
    version: Option<VersionName>,
    weights: Weights,
    reason: Option<String>,
    at: Timestamp,
}

impl RolloutCell {
    /// Runs one command. Gives whether what must survive a restart is another now.
    pub fn apply(&mut self, now: Timestamp, command: RolloutCommand) -> (RolloutReply, bool) {
        let (reply, has_changed) = match command {
            RolloutCommand::Report(report) => {
                let changed = self.report(now, report);
                let has_changed = changed.is_some();
                (RolloutReply::Standing(self.standing(now, changed)), has_changed)
            }
            RolloutCommand::Status(read) => (RolloutReply::Status(Box::new(self.status(now, &read.policy))), false),
            RolloutCommand::Order(order) => match self.order(now, order) {
                Ok(ordered) => (RolloutReply::Ordered(Box::new(ordered)), true),
                Err(refused) => (RolloutReply::Refused(refused), false),
            },
        };
        debug_assert_eq!(self.check_invariants(), Ok(()));
        (reply, has_changed)
    }

    /// The same without what requests have met, which is gathered anew after a restart.
    #[must_use]
    pub fn without_evidence(&self) -> Self {
        Self {
            evidence: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        for past in &self.past {
            past.weights.check_invariants()?;
        }
        let is_ascending = |pair: &[Past]| pair[0].revision < pair[1].revision && pair[0].since <= pair[1].since;
        if !self.past.windows(2).all(is_ascending) {
            return Err(format!("weights out of order: {:?}", self.past));
        }
        if let Some(run) = &self.running {
            run.before.check_invariants()?;
            let weight = self.past.last().map(|past| past.weights.of(&run.version));
            if weight.is_none_or(|weight| weight == 0 || weight == Weights::WHOLE) {
                return Err(format!("a rollout of {} with the weight {weight:?}", run.version));
            }
        }
        if self.past.len() > MOST_PAST || self.log.len() > MOST_LOGGED {
            return Err(format!("{} weights, {} changes", self.past.len(), self.log.len()));
        }
        Ok(())
    }

    /// Takes a report in, and does what follows.
    fn report(&mut self, now: Timestamp, report: EvidenceReport) -> Option<Change> {
        let EvidenceReport { policy, revision, seen } = report;
        if revision == self.revision() {
            for (version, evidence) in seen.iter().filter(|(version, _)| policy.weights.has(version)) {
                self.evidence.entry(version.clone()).or_default().add(evidence);
            }
        }
        self.evidence.retain(|version, _| policy.weights.has(version));
        let run = self.running.as_ref()?;
        let last = self.past.last()?;
        // Gateways of another configuration know nothing of the version, and announced weights have no effect yet.
        if !policy.weights.has(&run.version) || now < last.since {
            return None;
        }
        let version = run.version.clone();
        let own = self.evidence.get(&version).cloned().unwrap_or_default();
        let mut others = Evidence::default();
        let of_others = self.evidence.iter().filter(|(other, _)| **other != version);
        of_others.for_each(|(_, evidence)| others.add(evidence));
        if let Some(worse) = judge(&own, &others, &policy) {
            return Some(self.take_back(now, &policy, ChangeKind::RolledBack, Some(worse.to_string())));
        }
        let is_baked = policy.step_after.is_some_and(|after| now.since(last.since) >= after);
        let is_known = own.requests.min(others.requests) >= policy.min_requests;
        if run.is_paused || !is_baked || !is_known {
            return None;
        }
        let step = policy.step_after_weight(last.weights.of(&version))?;
        let weights = last.weights.with(&policy.weights, &[(version, step)]).ok()?;
        self.set(now, weights, &policy);
        Some(self.on_weight(now, ChangeKind::Stepped, None))
    }

    fn order(&mut self, now: Timestamp, order: OrderRollout) -> Result<Ordered, OrderRefused> {
        let OrderRollout { policy, action, reason } = order;
        let before = self.status(now, &policy);
        match action {
            RolloutAction::Start(version) => self.start(now, version, &policy, reason)?,
            RolloutAction::Set(named) => {
                let weights = before.weights.with(&policy.weights, &named)?;
                if weights != before.weights {
                    self.set_by_hand(now, weights, &policy, reason);
                }
            }
            RolloutAction::Pause => self.pause(now, true, reason)?,
            RolloutAction::Resume => self.pause(now, false, reason)?,
            RolloutAction::Abort => {
                self.running.as_ref().ok_or(OrderRefused::NotRunning)?;
                self.take_back(now, &policy, ChangeKind::Aborted, reason);
            }
        }
        let status = self.status(now, &policy);
        Ok(Ordered { before, status })
    }

    fn start(
        &mut self,
        now: Timestamp,
        version: VersionName,
        policy: &RolloutPolicy,
        reason: Option<String>,
    ) -> Result<(), OrderRefused> {
        if let Some(Run { version, .. }) = &self.running {
            let version = version.clone();
            return Err(OrderRefused::Running { version });
        }
        let before = self.weights(policy).clone();
        let weight = before.of(&version);
        if weight == Weights::WHOLE {
            return Err(OrderRefused::HasAll { version });
        }
        let step = policy.step_after_weight(weight);
        let step = step.ok_or_else(|| OrderRefused::NoStep {
            version: version.clone(),
        })?;
        let weights = before.with(&policy.weights, &[(version.clone(), step)])?;
        self.set(now, weights, policy);
        self.running = Some(Run {
            version,
            before,
            since: now,
            is_paused: false,
        });
        self.on_weight(now, ChangeKind::Started, reason);
        Ok(())
    }

    /// An operator sets weights. Where that raises one version above what it had, and it does not have all, a rollout of it
    /// begins whose further steps are the operator's.
    fn set_by_hand(&mut self, now: Timestamp, weights: Weights, policy: &RolloutPolicy, reason: Option<String>) {
        let before = self.weights(policy).clone();
        let raised = weights.iter().filter(|(version, weight)| *weight > before.of(version));
        let raised: Vec<_> = raised.map(|(version, _)| version.clone()).collect();
        if self.running.is_none()
            && let [version] = raised.as_slice()
        {
            self.running = Some(Run {
                version: version.clone(),
                before,
                since: now,
                is_paused: true,
            });
        }
        self.set(now, weights, policy);
        self.on_weight(now, ChangeKind::Set, reason);
    }

    fn pause(&mut self, now: Timestamp, is_paused: bool, reason: Option<String>) -> Result<(), OrderRefused> {
        let run = self.running.as_mut().ok_or(OrderRefused::NotRunning)?;
        if run.is_paused != is_paused {
            run.is_paused = is_paused;
            let kind = if is_paused {
                ChangeKind::Paused
            } else {
                ChangeKind::Resumed
            };
            self.log(now, kind, reason);
        }
        Ok(())
    }

    /// The weights were set, for that reason: the rollout ends where its version has all, or nothing.
    fn on_weight(&mut self, now: Timestamp, kind: ChangeKind, reason: Option<String>) -> Change {
        let changed = self.log(now, kind, reason);
        let weight = |run: &Run| self.past.last().map(|past| past.weights.of(&run.version));
        let ended = match self.running.as_ref().and_then(weight) {
            Some(Weights::WHOLE) => ChangeKind::Done,
            Some(0) => ChangeKind::Aborted,
            Some(_) | None => return changed,
        };
        let changed = self.log(now, ended, None);
        self.running = None;
        changed
    }

    /// The weights are at once what they were before the rollout, which is over, and nothing that began in between stays.
    /// Versions that have left the configuration meanwhile get none, nor does the one that is taken back.
    fn take_back(&mut self, now: Timestamp, policy: &RolloutPolicy, how: ChangeKind, reason: Option<String>) -> Change {
        if let Some(run) = &self.running {
            let revision = self.revision() + 1;
            self.past = vec![Past {
                revision,
                weights: run.before.without(&run.version, &policy.weights),
                since: now,
            }];
            self.evidence.clear();
        }
        let changed = self.log(now, how, reason);
        self.running = None;
        changed
    }

    /// Announces weights.
    fn set(&mut self, now: Timestamp, weights: Weights, policy: &RolloutPolicy) {
        if self.past.is_empty() {
            self.past.push(Past {
                revision: 0,
                weights: policy.weights.clone(),
                since: Timestamp::default(),
            });
        }
        let after = self.past.last().map_or(now, |last| last.since);
        self.past.push(Past {
            revision: self.revision() + 1,
            weights,
            since: (now + ANNOUNCED).max(after),
        });
        let forgotten = self.past.len().saturating_sub(MOST_PAST);
        self.past.drain(..forgotten);
        self.evidence.clear();
    }

    /// Writes down what has changed, of the rollout that is under way.
    fn log(&mut self, now: Timestamp, kind: ChangeKind, reason: Option<String>) -> Change {
        let logged = Logged {
            kind,
            version: self.running.as_ref().map(|run| run.version.clone()),
            weights: self.past.last().map(|past| past.weights.clone()).unwrap_or_default(),
            reason,
            at: now,
        };
        if matches!(kind, ChangeKind::Done | ChangeKind::RolledBack | ChangeKind::Aborted) {
            self.ended = Some(logged.clone());
        }
        if self.log.len() == MOST_LOGGED {
            self.log.remove(0);
        }
        self.log.push(logged.clone());
        logged.told(now)
    }

    fn revision(&self) -> u64 {
        self.past.last().map_or(0, |past| past.revision)
    }

    fn weights<'a>(&'a self, policy: &'a RolloutPolicy) -> &'a Weights {
        self.past.last().map_or(&policy.weights, |past| &past.weights)
    }

    fn standing(&self, now: Timestamp, changed: Option<Change>) -> Standing {
        let told = |past: &Past| WeightsSince {
            revision: past.revision,
            weights: past.weights.clone(),
            ago: now.since(past.since),
            in_force_in: past.since.since(now),
        };
        Standing {
            weights: self.past.iter().map(told).collect(),
            changed,
        }
    }

    fn status(&self, now: Timestamp, policy: &RolloutPolicy) -> RolloutStatus {
        let since = self.past.last().map_or(now, |past| past.since);
        let weights = self.weights(policy).clone();
        let running = self.running.as_ref().map(|run| Running {
            version: run.version.clone(),
            before: run.before.clone(),
            since: now.since(run.since),
            step_for: now.since(since),
            is_paused: run.is_paused,
            next: policy.step_after_weight(weights.of(&run.version)),
        });
        let ended = self.ended.as_ref().and_then(|ended| {
            Some(Ended {
                version: ended.version.clone()?,
                how: ended.kind,
                reason: ended.reason.clone(),
                ago: now.since(ended.at),
            })
        });
        RolloutStatus {
            weights,
            in_force_in: since.since(now),
            running,
            ended,
            evidence: self.evidence.clone().into_iter().collect(),
            log: self.log.iter().map(|logged| logged.told(now)).collect(),
        }
    }
}

impl Logged {
    fn told(&self, now: Timestamp) -> Change {
        Change {
            kind: self.kind,
            version: self.version.clone(),
            weights: self.weights.clone(),
            reason: self.reason.clone(),
            ago: now.since(self.at),
        }
    }
}

/// From when weights are set until they come into force: a gateway with requests asks at least every two seconds, and
/// waits a moment for the answer.
pub(super) const ANNOUNCED: Duration = Duration::from_secs(3);
/// So many weights are remembered: of those that are set in quicker succession conversations move that began long ago.
const MOST_PAST: usize = 16;
const MOST_LOGGED: usize = 20;

#[cfg(test)]
mod tests;
