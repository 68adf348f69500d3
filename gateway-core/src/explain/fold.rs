//! A record hears what happens in the course of its request.

use std::time::Duration;

use serde_json::Value;

use super::failed::Failed;
use super::millis::Millis;
use super::record::DecisionRecord;
use super::step::{Ranked, Step, What};
use super::weighed::WeighedHere;
use crate::observe::{Budgeting, Caching, Canning, Counting, Detecting, Event, Prefixing, RollingOut, Weighing};

impl DecisionRecord {
    /// Something happened, so long after the request's arrival.
    pub fn on(&mut self, after: Duration, event: &Event<'_>) {
        let at_ms = Millis(after);
        if let Event::Responded { status, error, .. } = event {
            self.status = Some(status.as_u16());
            self.error = *error;
            self.responded_ms = Some(at_ms);
        } else if let Event::Counting(Counting::Counted { prompt, basis, .. }) = event {
            self.prompt = Some(*prompt);
            self.counted_by = Some(basis.label());
        } else if let Some(what) = self.step(event) {
            self.add(Step { at_ms, what });
        }
    }

    /// The steps that are left out are those after the first ones: how it began and how it ended tell most.
    fn add(&mut self, step: Step) {
        if self.steps.len() >= Self::MOST_STEPS {
            self.steps.remove(Self::MOST_STEPS / 2);
            self.steps_left_out += 1;
        }
        self.steps.push(step);
    }

    fn step(&self, event: &Event<'_>) -> Option<What> {
        Some(match event {
            Event::Ranked {
                model,
                tier,
                prompt,
                estimates,
                excluded,
            } => What::Ranked(Ranked::new((*tier, model), *prompt, estimates, excluded)),
            Event::Weighing(weighing) => self.of_weighing(weighing),
            Event::Permitted {
                cluster,
                replica,
                is_kept,
                choice,
                expected,
            } => What::permitted((cluster, replica), *is_kept, *choice, *expected),
            Event::Queued { cluster, expected } => What::queued(cluster, *expected),
            Event::Waited {
                cluster,
                ended_as,
                after,
            } => What::waited(cluster, ended_as, *after),
            Event::AttemptFailed {
                cluster,
                replica,
                error,
            } => What::Failed(Failed::new(cluster, *replica, error)),
            Event::StreamFailed {
                cluster,
                replica,
                error,
            } => What::BrokeOff(Failed::new(cluster, Some(replica), error)),
            Event::FirstToken {
                cluster,
                model,
                expected,
                ..
            } => What::first_token(cluster, model, *expected),
            Event::WholeAnswer { cluster, model, .. } => What::whole_answer(cluster, model),
            Event::Used { usage, .. } => What::used(*usage),
            Event::Canned(canning) => return of_canning(canning),
            Event::Budget(budgeting) => return of_budget(budgeting),
            Event::Prefix(prefixing) => return of_prefix(prefixing),
            Event::Cache(caching) => return of_caching(caching),
            Event::Rollout(rolling_out) => return of_rollout(rolling_out),
            Event::Detection(detecting) => of_detection(detecting),
            Event::Responded { .. }
            | Event::Counting(_)
            | Event::BodyRefused { .. }
            | Event::OrderRefused { .. }
            | Event::SignalIgnored(_)
            | Event::Released { .. }
            | Event::AdminChange(_)
            | Event::ConfigApplied { .. }
            | Event::ConfigRefused { .. }
            | Event::StoreFailing { .. }
            | Event::StoreWorks { .. } => return None,
        })
    }

    fn of_weighing(&self, weighing: &Weighing<'_>) -> What {
        match weighing {
            Weighing::Replicas { cluster, weighed } => {
                What::Weighed(WeighedHere::new(cluster, weighed, self.replicas_left()))
            }
            Weighing::ByRegion { cluster, hop, told } => What::Region {
                cluster: (*cluster).clone(),
                hop: hop.to_string(),
                record: told.and_then(|told| self.told(told)),
            },
        }
    }

    /// How many more replicas may be told of.
    fn replicas_left(&self) -> usize {
        let told = |step: &Step| {
            if let What::Weighed(weighed) = &step.what {
                weighed.replicas.len()
            } else {
                0
            }
        };
        Self::MOST_REPLICAS.saturating_sub(self.steps.iter().map(told).sum())
    }

    /// What a region hop tells, if it is a record at all.
    fn told(&self, text: &str) -> Option<Box<Value>> {
        let is_told = |step: &&Step| matches!(step.what, What::Region { record: Some(_), .. });
        let told = self.steps.iter().filter(is_told).count();
        if told >= Self::MOST_TOLD || text.len() > super::cut::HEADER_BYTES {
            return None;
        }
        let value: Value = serde_json::from_str(text).ok()?;
        value.is_object().then(|| Box::new(value))
    }
}

fn of_budget(budgeting: &Budgeting<'_>) -> Option<What> {
    match budgeting {
        Budgeting::Reserved { budget } => Some(What::Reserved {
            budget: budget.to_string(),
        }),
        Budgeting::Refused { budget, error } => Some(What::BudgetRefused {
            budget: budget.to_string(),
            error: error.to_string(),
        }),
        Budgeting::Settled { .. } | Budgeting::Unreachable { .. } => None,
    }
}

fn of_canning(canning: &Canning<'_>) -> Option<What> {
    match *canning {
        Canning::Given { reason, .. } => Some(What::Canned {
            reason: reason.as_str(),
        }),
        Canning::Withheld { reason, why, .. } => Some(What::CannedWithheld {
            reason: reason.as_str(),
            why: why.to_string(),
        }),
        Canning::PassedOver { model } => Some(What::Maintenance { model: model.clone() }),
        Canning::Applied { .. } | Canning::Refused { .. } => None,
    }
}

fn of_caching(caching: &Caching<'_>) -> Option<What> {
    match caching {
        Caching::Answered { status, key, .. } => Some(What::Cached {
            status: status.as_str(),
            key: key.to_string(),
        }),
        Caching::Read { .. } | Caching::Joined { .. } | Caching::Stored { .. } => None,
    }
}

fn of_rollout(rolling_out: &RollingOut<'_>) -> Option<What> {
    match *rolling_out {
        RollingOut::Allotted { model, version, counts } => Some(What::Version {
            model: model.clone(),
            version: version.clone(),
            counts,
        }),
        RollingOut::FellBack { model, version, served } => Some(What::FellBack {
            model: model.clone(),
            version: version.clone(),
            served: served.clone(),
        }),
        RollingOut::Met { .. } | RollingOut::Changed { .. } | RollingOut::Unreachable { .. } => None,
    }
}

fn of_detection(detecting: &Detecting<'_>) -> What {
    match *detecting {
        Detecting::Found {
            cluster,
            replica,
            model: _,
            finding,
            action,
        } => What::Detected {
            cluster: cluster.clone(),
            replica: replica.cloned(),
            detector: finding.detector.name(),
            action: action.name(),
            at_bytes: finding.at_bytes,
            reason: finding.reason.clone(),
        },
    }
}

fn of_prefix(prefixing: &Prefixing<'_>) -> Option<What> {
    if let Prefixing::Found { expected, cached, .. } = prefixing {
        Some(What::Found {
            expected: *expected,
            cached: *cached,
        })
    } else {
        None
    }
}
