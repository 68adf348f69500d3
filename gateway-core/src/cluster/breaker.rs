//! The breaker of one replica: after failures in a row nothing is sent there for a while, then one request probes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::permit::{Outcome, PermitId};
use crate::time::Timestamp;

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerPolicy {
    /// Failures in a row that open it; at least 1.
    pub failures: u32,
    /// How long it stays open before a probe.
    pub open: Duration,
}

/// The state of one breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Breaker {
    /// Requests pass; so many in a row have failed.
    Closed { failures: u32 },
    /// Nothing passes before that moment, then one request may probe.
    Open { until: Timestamp },
    /// This request is the probe; nothing else passes until it ends.
    HalfOpen { probe: PermitId },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether a request may pass now.
    pub fn passes(self, now: Timestamp) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Open { until } => now >= until,
            Self::HalfOpen { .. } => false,
        }
    }

    /// How long until a request may pass, as far as that is known.
    pub fn recovery(self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::Open { until } => Some(until.since(now)),
            Self::Closed { .. } | Self::HalfOpen { .. } => None,
        }
    }

    /// A request was let pass.
    pub fn on_pass(&mut self, probe: PermitId) {
        if let Self::Open { .. } = self {
            *self = Self::HalfOpen { probe };
        }
    }

    /// A request ended, or its permit expired (then the outcome is unknown).
    pub fn on_outcome(&mut self, now: Timestamp, permit: PermitId, outcome: Outcome, policy: BreakerPolicy) {
        let was_probe = matches!(self, Self::HalfOpen { probe } if *probe == permit);
        *self = match (outcome, *self) {
            (Outcome::Served, Self::Closed { .. }) => Self::default(),
            (Outcome::Served, Self::HalfOpen { .. }) if was_probe => Self::default(),
            (Outcome::Failed, Self::Closed { failures }) if failures + 1 < policy.failures => {
                Self::Closed { failures: failures + 1 }
            }
            (Outcome::Failed, Self::Closed { .. }) => Self::Open {
                until: now + policy.open,
            },
            (Outcome::Failed, Self::HalfOpen { .. }) if was_probe => Self::Open {
                until: now + policy.open,
            },
            (Outcome::Unknown, Self::HalfOpen { .. }) if was_probe => Self::Open { until: now },
            // What ends late, after the breaker moved on, tells nothing new.
            (_, unchanged) => unchanged,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 2,
        open: Duration::from_secs(5),
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        breaker.on_outcome(at(0), PermitId(1), Outcome::Failed, POLICY);
        assert!(breaker.passes(at(0)), "one failure of two");
        breaker.on_outcome(at(0), PermitId(2), Outcome::Failed, POLICY);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_success_between_them_does_not() {
        assert!(!opened().passes(at(4)));
        let mut breaker = Breaker::default();
        for outcome in [Outcome::Failed, Outcome::Served, Outcome::Failed, Outcome::Unknown] {
            breaker.on_outcome(at(0), PermitId(1), outcome, POLICY);
        }
        assert!(breaker.passes(at(0)));
    }

    #[test]
    fn one_probe_decides_what_follows() {
        let mut breaker = opened();
        assert_eq!(breaker.recovery(at(1)), Some(Duration::from_secs(4)));
        assert!(breaker.passes(at(5)));
        breaker.on_pass(PermitId(7));
        assert!(!breaker.passes(at(6)), "a probe is on its way");
        breaker.on_outcome(at(6), PermitId(3), Outcome::Served, POLICY);
        assert!(!breaker.passes(at(6)), "an older request's end is no probe");
        let mut closed = breaker;
        closed.on_outcome(at(6), PermitId(7), Outcome::Served, POLICY);
        assert!(closed.passes(at(6)));
        breaker.on_outcome(at(6), PermitId(7), Outcome::Failed, POLICY);
        assert!(!breaker.passes(at(10)));
    }

    #[test]
    fn a_probe_that_vanished_leaves_room_for_the_next() {
        let mut breaker = opened();
        breaker.on_pass(PermitId(7));
        breaker.on_outcome(at(9), PermitId(7), Outcome::Unknown, POLICY);
        assert!(breaker.passes(at(9)));
    }
}
