//! What holds whatever happens: lease caches and a cell, and messages between them that come late, twice or never.

use std::time::Duration;

use proptest::prelude::*;
use tidegate_core::budget::{
    BudgetCell, BudgetCommand, BudgetLimits, BudgetReply, IDLE, LeaseCache, Leased, LeaseholderId, NotReserved, Rate,
    Totals,
};
use tidegate_core::time::Timestamp;

use crate::window::{Returning, Windows};

/// Something that happens, with a number to choose by.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request comes to a cache and wants so many tokens.
    Arrive(usize, u64),
    /// A request ends; in per cent of what it had reserved it took so much.
    End(usize, u64),
    /// A message reaches the cell, and stays around when it is to come again.
    Deliver(usize, bool),
    /// A reply reaches its cache, or is lost.
    Reply(usize, bool),
    /// What was asked has not been answered.
    GiveUp(usize),
    /// A cache does what is due.
    KeepUp(usize),
    /// Time passes, in milliseconds.
    Pass(u64),
    /// The cell begins anew from its record.
    Restart,
}

struct World {
    cell: BudgetCell,
    caches: Vec<LeaseCache>,
    running: Vec<Vec<u64>>,
    asking: Vec<Option<u64>>,
    /// What the cell has heard of each cache, and what it has granted in a reply that has not come yet.
    heard: Vec<u64>,
    unheard: Vec<Option<u64>>,
    /// The last report that each cache made, and what is on its way back.
    made: Vec<u64>,
    returning: Vec<Returning>,
    to_cell: Vec<(usize, BudgetCommand)>,
    to_caches: Vec<(usize, Box<Leased>)>,
    windows: Windows,
    /// Tokens that messages told of which were under way when the cell began anew.
    under_way: f64,
    /// Tokens admitted in all; every run stays within one day.
    admitted: f64,
    now: u64,
}

const TTL: Duration = Duration::from_secs(3_600);
const LIMITS: BudgetLimits = BudgetLimits {
    tokens: Some(Rate {
        per_minute: 6_000,
        burst: 1_000,
    }),
    requests: Some(Rate {
        per_minute: 600,
        burst: 40,
    }),
    tokens_per_day: Some(6_000),
    concurrent_requests: Some(5),
    day_starts_at_minute: 0,
};

impl World {
    fn new() -> Self {
        let rate = LIMITS.tokens.unwrap();
        let caches = (0..3).map(|number| LeaseCache::new(LeaseholderId(number), Timestamp::default()));
        Self {
            cell: BudgetCell::default(),
            caches: caches.collect(),
            running: vec![Vec::new(); 3],
            asking: vec![None; 3],
            heard: vec![0; 3],
            unheard: vec![None; 3],
            made: vec![0; 3],
            returning: (0..3).map(|_| Returning::default()).collect(),
            to_cell: Vec::new(),
            to_caches: Vec::new(),
            windows: Windows::new(rate.per_minute, rate.burst),
            under_way: 0.0,
            admitted: 0.0,
            now: 1_000_000,
        }
    }

    fn clock(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn happen(&mut self, step: Step) {
        let now = self.clock();
        match step {
            Step::Arrive(at, tokens) => match self.caches[at].reserve(now, tokens, 0) {
                Ok(()) => self.admit(at, tokens),
                Err(NotReserved::Ask) => {
                    // A call that has taken too long has been given up, as the pipeline does.
                    self.happen(Step::GiveUp(at));
                    let lease = self.caches[at].ask(now, Some((tokens, 0)), LIMITS, TTL);
                    self.asking[at] = Some(tokens);
                    self.made[at] = lease.report.sequence;
                    self.to_cell.push((at, BudgetCommand::Lease(lease)));
                }
                Err(NotReserved::Asking | NotReserved::Denied(_) | NotReserved::CutOff { .. }) => {}
            },
            Step::End(at, percent) => self.end(at, percent),
            Step::Deliver(which, again) if !self.to_cell.is_empty() => {
                let which = which % self.to_cell.len();
                let (at, command) = self.to_cell[which].clone();
                if !again {
                    self.to_cell.remove(which);
                }
                self.deliver(at, command);
            }
            Step::Reply(which, is_lost) if !self.to_caches.is_empty() => {
                let (at, leased) = self.to_caches.remove(which % self.to_caches.len());
                if !is_lost {
                    self.reply(at, *leased);
                }
            }
            Step::GiveUp(at) => {
                if self.asking[at].take().is_some() {
                    self.caches[at].on_unanswered(now);
                }
            }
            Step::KeepUp(at) => {
                if self.caches[at].is_idle(now) && self.caches[at].has_news() {
                    let report = self.caches[at].settle_up(now);
                    self.made[at] = report.sequence;
                    self.to_cell.push((at, BudgetCommand::Settle(report)));
                }
            }
            Step::Pass(millis) => self.now += millis,
            Step::Restart => {
                self.cell = self.cell.without_holders();
                let granted: u64 = self.unheard.iter().flatten().sum();
                let returning: u64 = self.returning.iter().map(Returning::sum).sum();
                self.under_way = (granted + returning) as f64;
            }
            Step::Deliver(..) | Step::Reply(..) => {}
        }
    }

    fn end(&mut self, at: usize, percent: u64) {
        let now = self.clock();
        let Some(reserved) = self.running[at].pop() else { return };
        let takes = reserved * percent / 100;
        let overrun = takes.saturating_sub(reserved);
        self.caches[at].extend(now, overrun);
        let held = self.caches[at].held().tokens;
        self.caches[at].settle(now, reserved + overrun, takes);
        let at_once = self.caches[at].held().tokens.saturating_sub(held);
        let later = reserved.saturating_sub(takes).saturating_sub(at_once);
        self.returning[at].on_returned(self.made[at], later);
        self.count_admitted(-(at_once as f64));
    }

    fn reply(&mut self, at: usize, leased: Leased) {
        let now = self.clock();
        let Some(granted) = self.caches[at].on_leased(now, leased) else {
            return;
        };
        let asked = self.asking[at].take();
        if let Some(tokens) = asked.filter(|_| granted.is_ok()) {
            self.unheard[at] = None;
            self.running[at].push(tokens);
        }
    }

    /// A request that waits for the cell is admitted when the cell grants what it needs. If the reply gets lost, that is
    /// taken back with the next message.
    fn deliver(&mut self, at: usize, command: BudgetCommand) {
        let (sequence, need) = match &command {
            BudgetCommand::Lease(lease) => (lease.report.sequence, lease.need.map(|need| need.tokens)),
            BudgetCommand::Settle(report) => (report.sequence, None),
            BudgetCommand::Status { .. } | BudgetCommand::SetLimits(_) => return,
        };
        let is_news = sequence > self.heard[at];
        let reply = self.cell.apply(self.clock(), command);
        if is_news {
            self.heard[at] = sequence;
            let back = self.returning[at].on_heard(sequence) + self.unheard[at].take().unwrap_or(0);
            self.count_admitted(-(back as f64));
        }
        if let BudgetReply::Leased(leased) = reply {
            if let Some(tokens) = need.filter(|_| is_news && leased.denied.is_none()) {
                self.unheard[at] = Some(tokens);
                self.count_admitted(tokens as f64);
            }
            self.to_caches.push((at, leased));
        }
    }

    fn admit(&mut self, at: usize, tokens: u64) {
        self.running[at].push(tokens);
        self.count_admitted(tokens as f64);
    }

    fn count_admitted(&mut self, tokens: f64) {
        let debt = self.caches.iter().map(LeaseCache::debt).sum::<u64>() + self.cell.debt();
        self.windows.on_admitted(self.now * 1_000, tokens, debt as f64);
        self.admitted += tokens;
    }

    fn totals(&mut self) -> Totals {
        let now = self.clock();
        match self.cell.apply(now, BudgetCommand::Status { limits: LIMITS }) {
            BudgetReply::Status(status) => {
                assert_eq!(status.held.tokens, 0, "{status:?}");
                status.tokens
            }
            other @ (BudgetReply::Leased(_) | BudgetReply::Done) => panic!("{other:?}"),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_usize, 1..400_u64).prop_map(|(at, tokens)| Step::Arrive(at, tokens)),
        6 => (0..3_usize, 0..150_u64).prop_map(|(at, percent)| Step::End(at, percent)),
        8 => (0..9_usize, prop::bool::weighted(0.1)).prop_map(|(which, again)| Step::Deliver(which, again)),
        8 => (0..9_usize, prop::bool::weighted(0.1)).prop_map(|(which, is_lost)| Step::Reply(which, is_lost)),
        1 => (0..3_usize).prop_map(Step::GiveUp),
        2 => (0..3_usize).prop_map(Step::KeepUp),
        6 => (1..3_000_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_window_and_no_day_admits_more_than_it_may(steps in prop::collection::vec(step(), 1..300)) {
        let mut world = World::new();
        for step in steps {
            world.happen(step);
            prop_assert_eq!(world.cell.check_invariants(), Ok(()));
            prop_assert!(world.windows.worst <= 0.0, "{} beyond, after {step:?}", world.windows.worst);
            prop_assert!(world.admitted <= LIMITS.tokens_per_day.unwrap() as f64, "after {step:?}");
            let running: usize = world.running.iter().map(Vec::len).sum();
            prop_assert!(running <= 5, "{running} run, after {step:?}");
        }
    }

    #[test]
    fn whatever_was_granted_is_accounted_for(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.happen(step));
        // Everything ends, is told, and gets there.
        for at in 0..3 {
            world.happen(Step::GiveUp(at));
            while !world.running[at].is_empty() {
                world.happen(Step::End(at, 100));
            }
        }
        world.to_cell.clear();
        world.now += u64::try_from(IDLE.as_millis()).unwrap();
        let mut spent = 0;
        for at in 0..3 {
            let now = world.clock();
            let report = world.caches[at].settle_up(now);
            spent += report.tokens.spent;
            world.cell.apply(now, BudgetCommand::Settle(report));
        }
        let totals = world.totals();
        prop_assert_eq!(totals.spent, spent);
        prop_assert_eq!(totals.granted, totals.spent + totals.returned);
    }

    #[test]
    fn a_cell_that_begins_anew_from_its_record_lends_no_more_than_was_under_way_twice(
        before in prop::collection::vec(step(), 1..120),
        after in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new();
        for step in before.into_iter().chain([Step::Restart]).chain(after) {
            world.happen(step);
            prop_assert_eq!(world.cell.check_invariants(), Ok(()));
            prop_assert!(world.windows.worst <= world.under_way, "{} beyond, after {step:?}", world.windows.worst);
        }
    }
}
