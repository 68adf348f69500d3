//! The breaker of one replica: after failures in a row nothing is sent there for a while, then one request probes. A probe
//! is heard of when its answer begins. One of which nothing is heard for a while holds up nobody: the next one passes, and
//! whichever is heard of first decides.

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

/// How a breaker stands, for whoever reads of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerStanding {
    /// Requests pass.
    #[default]
    Closed,
    /// Nothing passes, or the next request probes.
    Open,
    /// A probe is on its way.
    HalfOpen,
}

/// The state of one breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Breaker {
    /// Requests pass; so many in a row have failed.
    Closed { failures: u32 },
    /// Nothing passes before that moment, then one request may probe.
    Open { until: Timestamp },
    /// This request is the probe, the latest one.
    HalfOpen {
        probe: PermitId,
        /// Nothing else passes before that moment. Of a version that does not tell, it has passed.
        #[serde(default)]
        until: Timestamp,
        /// The first probe, where nothing has been heard of it in time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<PermitId>,
    },
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
            Self::Open { until } | Self::HalfOpen { until, .. } => now >= until,
        }
    }

    /// How it stands.
    pub fn standing(self) -> BreakerStanding {
        match self {
            Self::Closed { .. } => BreakerStanding::Closed,
            Self::Open { .. } => BreakerStanding::Open,
            Self::HalfOpen { .. } => BreakerStanding::HalfOpen,
        }
    }

    /// How long until a request may pass, as far as that is known.
    pub fn recovery(self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::Open { until } | Self::HalfOpen { until, .. } => Some(until.since(now)),
            Self::Closed { .. } => None,
        }
    }

    /// Whether what becomes of this request decides what follows.
    pub fn is_probed_by(self, permit: PermitId) -> bool {
        match self {
            Self::HalfOpen { probe, first, .. } => permit == probe || first == Some(permit),
            Self::Closed { .. } | Self::Open { .. } => false,
        }
    }

    /// Whether it leaves its replica alone, or waits for a probe.
    pub fn is_out(self) -> bool {
        match self {
            Self::Closed { .. } => false,
            Self::Open { .. } | Self::HalfOpen { .. } => true,
        }
    }

    /// Nothing passes until then, unless it is out already.
    pub fn open(&mut self, until: Timestamp) {
        if !self.is_out() {
            *self = Self::Open { until };
        }
    }

    /// A request was let pass.
    pub fn on_pass(&mut self, now: Timestamp, probe: PermitId) {
        let first = match *self {
            Self::Closed { .. } => return,
            Self::Open { .. } => None,
            Self::HalfOpen { probe, first, .. } => first.or(Some(probe)),
        };
        let until = now + PROBE_HOLDS;
        *self = Self::HalfOpen { probe, until, first };
    }

    /// A request was answered or ended, or its permit expired (then the outcome is unknown).
    pub fn on_outcome(&mut self, now: Timestamp, permit: PermitId, outcome: Outcome, policy: BreakerPolicy) {
        let was_probe = self.is_probed_by(permit);
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

/// For how long a probe keeps others away when nothing is heard of it: about twice as long as one may take that is answered
/// with a stream. What is answered whole says nothing until all of it is there.
const PROBE_HOLDS: Duration = Duration::from_secs(20);

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
        breaker.on_pass(at(5), PermitId(7));
        assert!(!breaker.passes(at(6)), "a probe is on its way");
        assert_eq!(breaker.recovery(at(6)), Some(Duration::from_secs(19)));
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
        breaker.on_pass(at(5), PermitId(7));
        breaker.on_outcome(at(9), PermitId(7), Outcome::Unknown, POLICY);
        assert!(breaker.passes(at(9)));
    }

    #[test]
    fn a_probe_of_which_nothing_is_heard_lets_others_pass_and_still_counts() {
        let mut breaker = opened();
        for (second, permit) in [(5, 7), (25, 8), (45, 9)] {
            assert!(!breaker.passes(at(second - 1)));
            assert!(breaker.passes(at(second)));
            breaker.on_pass(at(second), PermitId(permit));
        }
        for (permit, outcome, passes) in [
            (7, Outcome::Served, true),
            (9, Outcome::Served, true),
            (7, Outcome::Failed, false),
            (9, Outcome::Failed, false),
            (8, Outcome::Served, false),
        ] {
            let mut breaker = breaker;
            breaker.on_outcome(at(46), PermitId(permit), outcome, POLICY);
            assert_eq!(breaker.passes(at(46)), passes, "{permit} {outcome:?}");
        }
    }
}
