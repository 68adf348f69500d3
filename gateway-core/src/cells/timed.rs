//! A cell with the time that it lives by. Adapters tell it what their clocks read; its state sees durations of that time,
//! which goes on whatever becomes of the clocks, and the wall clock for days.

use std::time::Duration;

use super::format::{decode_record, encode_record};
use super::{Applied, CellCommand, CellError, CellId, CellState};
use crate::cluster::PermitId;
use crate::time::{Moment, Timestamp};
use crate::timeline::Timeline;

/// A cell of any kind, and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedCell {
    state: CellState,
    /// Nothing before its first command. In records of the version before it is missing as well.
    time: Option<Timeline>,
}

impl TimedCell {
    /// A cell that has seen nothing yet.
    pub fn new(id: &CellId) -> Self {
        Self::with(CellState::new(id), None)
    }

    pub(super) fn with(state: CellState, time: Option<Timeline>) -> Self {
        Self { state, time }
    }

    /// Its state.
    pub fn state(&self) -> &CellState {
        &self.state
    }

    pub(super) fn time(&self) -> Option<&Timeline> {
        self.time.as_ref()
    }

    /// Runs one command. The runtime calls it for one command at a time.
    pub fn apply(&mut self, at: impl Into<Moment>, command: CellCommand) -> Applied {
        let Moment { steady, wall } = at.into();
        let steady = self.time_or(steady).read(steady);
        self.state.apply(Moment { steady, wall }, command)
    }

    /// The permits that are waited for and whose turns have come.
    pub fn turns(&mut self, at: impl Into<Moment>) -> Vec<PermitId> {
        let steady = at.into().steady;
        let now = self.time_or(steady).read(steady);
        self.state.turns(now)
    }

    /// How far the clock has been set back since the cell, or its record, was last used: worth a line in the log, once. To
    /// be asked before the next command runs.
    pub fn set_back_by(&self, at: impl Into<Moment>) -> Option<Duration> {
        let steady = at.into().steady;
        let last = self.state.latest().map(|latest| Timeline::new(latest, latest));
        self.time.or(last)?.set_back_by(steady)
    }

    /// Its time. Where that was not written down, it goes on from the latest moment that the state has seen.
    fn time_or(&mut self, reading: Timestamp) -> &mut Timeline {
        let latest = self.state.latest().unwrap_or(reading);
        self.time.get_or_insert(Timeline::new(latest, latest))
    }

    /// Whether it is as one that has seen nothing, so that whoever keeps it in memory can forget it.
    pub fn is_over(&mut self, at: impl Into<Moment>) -> bool {
        let steady = at.into().steady;
        let now = self.time_or(steady).read(steady);
        self.state.is_over(now)
    }

    /// Whether something of it must survive a restart, where cells live in memory.
    pub fn is_lasting(&self) -> bool {
        self.state.lasting().is_some()
    }

    /// What must survive a restart, as a record; `None` for figures of the moment.
    ///
    /// # Errors
    /// Never for states that this crate makes.
    pub fn to_lasting_record(&self) -> Result<Option<Vec<u8>>, CellError> {
        // It outlives this process and its version: whoever takes a release back finds it.
        let record = |lasting| encode_record(&Self::with(lasting, self.time), None);
        self.state.lasting().map(record).transpose()
    }

    /// The cell that a record holds.
    ///
    /// # Errors
    /// When the record is damaged or of a version that this code does not read.
    pub fn from_record(record: &[u8]) -> Result<Self, CellError> {
        decode_record(record).map(|(cell, _)| cell)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::budget::{
        Amount, BudgetCommand, BudgetLimits, BudgetReply, BudgetStatus, Lease, LeaseAccount, LeaseholderId, Need, Rate,
        Report,
    };
    use crate::cells::{CellCall, CellReply};
    use crate::cluster::{
        Acquire, Acquired, BreakerPolicy, Capacity, ClusterPolicy, HealthPolicy, HotDigest, Outcome, PermitId,
        PrefillPolicy, PromptOutline, Release, Releases,
    };
    use crate::ids::{BudgetId, Tokens};

    const BUDGET_V3: &str = include_str!("format/fixtures/budget-v3.json");
    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000 * seconds)
    }

    fn call<C: CellCall>(cell: &mut TimedCell, now: impl Into<Moment>, call: C) -> C::Reply {
        C::read(cell.apply(now, call.into_command()).reply).expect("a reply")
    }

    fn cluster() -> TimedCell {
        TimedCell::new(&CellId::Cluster("a".into()))
    }

    fn acquire(permit: u64) -> Acquire {
        Acquire {
            permit: PermitId(permit),
            kv_tokens: Tokens(1),
            spare: 0,
            policy: ClusterPolicy {
                replicas: vec!["http://a.test".into()],
                capacity: Capacity {
                    requests: 1,
                    kv_tokens: Tokens(1),
                },
                prefill: PrefillPolicy::default(),
                // Where all are out, none is tried before its breaker lets it.
                health: HealthPolicy {
                    open: Duration::ZERO,
                    ..HealthPolicy::default()
                },
            }
            .into(),
            headroom_percent: 0,
            tried: Vec::new(),
            affinity: None,
            prompt: PromptOutline::default(),
            known_hot: HotDigest::default(),
            ttl: Duration::from_secs(30),
            queueing: None,
            explains: false,
            is_new: false,
        }
    }

    fn is_granted(cell: &mut TimedCell, now: Timestamp, permit: u64) -> bool {
        matches!(call(cell, now, acquire(permit)), Ok(Acquired::Granted(_)))
    }

    /// A replica has failed: its breaker opens for five seconds.
    fn fail(cell: &mut TimedCell, now: Timestamp) {
        let release = Release::of_all(PermitId(0), Some("http://a.test".into()), Outcome::Failed);
        let releases = Releases {
            releases: vec![release],
            breaker: BreakerPolicy {
                failures: 1,
                open: Duration::from_secs(5),
            },
            prefilled: Vec::new(),
            forgotten: Vec::new(),
            served: Default::default(),
        };
        call(cell, now, releases);
    }

    #[test]
    fn a_breaker_opens_for_as_long_when_the_clock_is_set_back() {
        let mut cell = cluster();
        fail(&mut cell, at(1_000));
        for (seconds, passes) in [(400, false), (404, false), (405, true)] {
            assert_eq!(is_granted(&mut cell, at(seconds), seconds), passes, "{seconds}");
        }
    }

    #[test]
    fn a_permit_that_nobody_renews_ends_when_the_clock_is_set_back() {
        let mut cell = cluster();
        assert!(is_granted(&mut cell, at(2 * HOUR), 1));
        assert!(!is_granted(&mut cell, at(HOUR), 2));
        assert!(!is_granted(&mut cell, at(HOUR + 30), 2));
        assert!(is_granted(&mut cell, at(HOUR + 31), 2));
    }

    proptest! {
        #[test]
        fn after_any_leaps_a_breaker_and_a_permit_hold_for_a_window_more_at_most(
            readings in prop::collection::vec(0..2 * 365 * DAY, 1..60),
            fails: bool,
        ) {
            let mut cell = cluster();
            for reading in &readings {
                is_granted(&mut cell, at(*reading), 1);
            }
            let last = readings[readings.len() - 1];
            let held_for = if fails {
                call(&mut cell, at(last), Releases {
                    releases: vec![Release::of_all(PermitId(1), None, Outcome::Unknown)],
                    breaker: BreakerPolicy { failures: 1, open: Duration::from_secs(5) },
                    prefilled: Vec::new(),
                    forgotten: Vec::new(),
                    served: Default::default(),
                });
                fail(&mut cell, at(last));
                5
            } else {
                31
            };
            let seconds = 1..=held_for + 60;
            let passed = seconds.map(|second| (second, is_granted(&mut cell, at(last + second), 2)));
            prop_assert!(passed.into_iter().any(|(_, is_granted)| is_granted));
        }
    }

    fn limits() -> BudgetLimits {
        BudgetLimits {
            tokens: Some(Rate::per_minute(600)),
            tokens_per_day: Some(1_000),
            ..BudgetLimits::default()
        }
    }

    fn budget() -> TimedCell {
        TimedCell::new(&CellId::Budget(BudgetId {
            tenant: "acme".into(),
            name: "all".into(),
        }))
    }

    /// A holder that is new asks for so many tokens, which it spends.
    fn is_lent(cell: &mut TimedCell, now: impl Into<Moment>, holder: u64, tokens: u64) -> bool {
        let report = Report {
            holder: LeaseholderId(holder),
            sequence: 1,
            tokens: LeaseAccount::default(),
            requests: LeaseAccount::default(),
            slots: 0,
            tokens_per_s: 0,
            outputs: Vec::new(),
        };
        let lease = Lease {
            report,
            need: Some(Need {
                tokens,
                slots: 0,
                headroom_percent: 0,
            }),
            waiting: Amount::default(),
            want: Amount::default(),
            want_slots: 0,
            limits: limits(),
            ttl: Duration::from_secs(30),
        };
        call(cell, now, lease).denied.is_none()
    }

    fn status(cell: &mut TimedCell, now: impl Into<Moment>) -> BudgetStatus {
        let command = BudgetCommand::Status { limits: limits() };
        match cell.apply(now, CellCommand::Budget(command)).reply {
            CellReply::Budget(BudgetReply::Status(status)) => *status,
            other @ (CellReply::Budget(BudgetReply::Leased(_) | BudgetReply::Done)
            | CellReply::Cluster(_)
            | CellReply::Estimate(_)
            | CellReply::Order(_)
            | CellReply::Rollout(_)
            | CellReply::Flight(_)
            | CellReply::AnotherKind) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_that_is_an_hour_ahead_goes_on_from_there_and_it_is_told_once() {
        let mut before = budget();
        assert!(is_lent(&mut before, at(3 * HOUR), 1, 600));
        let record = before.to_lasting_record().unwrap().unwrap();
        let mut cell = TimedCell::from_record(&record).unwrap();
        assert_eq!(cell.set_back_by(at(2 * HOUR)), Some(Duration::from_secs(HOUR)));
        assert!(!is_lent(&mut cell, at(2 * HOUR), 2, 10));
        assert_eq!(cell.set_back_by(at(2 * HOUR + 1)), None);
        assert!(is_lent(&mut cell, at(2 * HOUR + 1), 3, 10));
    }

    #[test]
    fn a_record_of_the_version_before_goes_on_from_the_latest_moment_that_it_has_seen() {
        let ahead = BUDGET_V3.replace("\"now\":2000000", "\"now\":3602000000");
        let ahead = ahead.replace("\"at\":2000000", "\"at\":3602000000");
        let mut cell = TimedCell::from_record(ahead.as_bytes()).expect("it is read");
        assert_eq!(cell.set_back_by(at(2)), Some(Duration::from_secs(HOUR)));
        let left = |cell: &mut TimedCell, seconds| status(cell, at(seconds)).left.tokens;
        assert_eq!(left(&mut cell, 2), 55);
        assert_eq!(left(&mut cell, 5), 58, "one a second");
    }

    #[test]
    fn a_day_is_the_wall_clocks_and_is_not_there_again_when_it_comes_back() {
        let mut cell = budget();
        let mut holder = 0;
        // Seconds that have passed, and what the wall clock reads.
        let mut spends = |passed: u64, wall: u64, tokens: u64| {
            holder += 1;
            let now = Moment {
                steady: at(10 * DAY + passed),
                wall: at(wall),
            };
            is_lent(&mut cell, now, holder, tokens)
        };
        assert!(spends(0, 10 * DAY, 600) && spends(60, 10 * DAY + 60, 400));
        assert!(!spends(120, 10 * DAY + 120, 1), "the day is used up");
        assert!(spends(180, 11 * DAY, 600), "the wall clock says that it is the next");
        assert!(
            !spends(240, 10 * DAY + 240, 600),
            "set back: what was drawn since counts"
        );
        assert!(spends(300, 10 * DAY + 300, 400));
        for to_and_fro in 0..20 {
            let passed = 360 + 60 * to_and_fro;
            assert!(!spends(passed, (11 + to_and_fro) * DAY, 1), "no second day more");
            assert!(!spends(passed, 10 * DAY + passed, 1));
        }
        for day in 1..4 {
            let midnight = day * DAY;
            assert!(
                spends(midnight, 10 * DAY + midnight, 600),
                "day {day} comes all the same"
            );
            assert!(spends(midnight + 60, 10 * DAY + midnight + 60, 400));
            assert!(!spends(midnight + 120, 10 * DAY + midnight + 120, 1));
        }
    }
}
