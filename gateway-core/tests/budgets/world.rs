//! Lease caches and a cell, and messages between them that come late, twice or never, one step at a time.

use std::time::Duration;

use tidegate_core::budget::{
    BudgetCell, BudgetCommand, BudgetLimits, BudgetReply, LeaseCache, Leased, LeaseholderId, NotReserved, Rate, Totals,
};
use tidegate_core::cells::{CellCommand, CellId, CellReply, CellState, TimedCell};
use tidegate_core::ids::BudgetId;
use tidegate_core::time::Timestamp;

use crate::clocks::Clocks;
use crate::window::{Returning, Windows};

/// Something that happens, with a number to choose by.
#[derive(Clone, Copy, Debug)]
pub enum Step {
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
    /// The wall clock where the cell is, or the one of a cache, is set: so many milliseconds from the true time.
    SetClock(Option<usize>, i64),
}

pub struct World {
    timed: TimedCell,
    pub clocks: Clocks,
    pub caches: Vec<LeaseCache>,
    pub running: Vec<Vec<u64>>,
    asking: Vec<Option<u64>>,
    /// What the cell has heard of each cache, and what it has granted in a reply that has not come yet.
    heard: Vec<u64>,
    unheard: Vec<Option<u64>>,
    /// The last report that each cache made, and what is on its way back.
    made: Vec<u64>,
    returning: Vec<Returning>,
    pub to_cell: Vec<(usize, BudgetCommand)>,
    to_caches: Vec<(usize, Box<Leased>)>,
    pub windows: Windows,
    /// Tokens that messages told of which were under way when the cell began anew.
    pub under_way: f64,
    /// Tokens admitted in all; every run stays within one day.
    pub admitted: f64,
    pub now: u64,
    pub limits: BudgetLimits,
}

pub const TTL: Duration = Duration::from_secs(3_600);
pub const LIMITS: BudgetLimits = BudgetLimits {
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
    /// Clocks that are right, and nothing has happened.
    pub fn new() -> Self {
        Self::with(Clocks::default())
    }

    pub fn with(clocks: Clocks) -> Self {
        let rate = LIMITS.tokens.unwrap();
        let caches = (0..3).map(|number| LeaseCache::new(LeaseholderId(number), Timestamp::default()));
        Self {
            timed: TimedCell::new(&id()),
            clocks,
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
            limits: LIMITS,
        }
    }

    /// The same with other limits.
    pub fn under(self, limits: BudgetLimits) -> Self {
        let rate = limits.tokens.unwrap();
        let windows = Windows::new(rate.per_minute, rate.burst);
        Self {
            limits,
            windows,
            ..self
        }
    }

    /// The time of a cache.
    pub fn time_of(&mut self, at: usize) -> Timestamp {
        self.clocks.time_of_cache(at, self.now)
    }

    pub fn cell(&self) -> &BudgetCell {
        match self.timed.state() {
            CellState::Budget(cell) => cell,
            other @ (CellState::Cluster(_)
            | CellState::Estimate(_)
            | CellState::Orders(_)
            | CellState::Rollout(_)
            | CellState::Flight(_)) => {
                panic!("{other:?}")
            }
        }
    }

    pub fn apply(&mut self, command: BudgetCommand) -> BudgetReply {
        let at = self.clocks.at_cell(self.now);
        match self.timed.apply(at, CellCommand::Budget(command)).reply {
            CellReply::Budget(reply) => reply,
            other @ (CellReply::Cluster(_)
            | CellReply::Estimate(_)
            | CellReply::Order(_)
            | CellReply::Rollout(_)
            | CellReply::Flight(_)
            | CellReply::AnotherKind) => panic!("{other:?}"),
        }
    }

    pub fn happen(&mut self, step: Step) {
        match step {
            Step::Arrive(at, tokens) => self.arrive(at, tokens),
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
                    let now = self.time_of(at);
                    self.caches[at].on_unanswered(now);
                }
            }
            Step::KeepUp(at) => {
                let now = self.time_of(at);
                if self.caches[at].is_idle(now) && self.caches[at].has_news() {
                    let report = self.caches[at].settle_up(now);
                    self.made[at] = report.sequence;
                    self.to_cell.push((at, BudgetCommand::Settle(report)));
                }
            }
            Step::Pass(millis) => self.now += millis,
            Step::Restart => {
                let record = self.timed.to_lasting_record().unwrap().unwrap();
                self.timed = TimedCell::from_record(&record).unwrap();
                self.clocks.on_restart();
                let granted: u64 = self.unheard.iter().flatten().sum();
                let returning: u64 = self.returning.iter().map(Returning::sum).sum();
                self.under_way = (granted + returning) as f64;
            }
            Step::SetClock(whose, ahead) => self.clocks.set(whose, ahead),
            Step::Deliver(..) | Step::Reply(..) => {}
        }
    }

    fn arrive(&mut self, at: usize, tokens: u64) {
        let now = self.time_of(at);
        match self.caches[at].reserve(now, tokens, 0) {
            Ok(()) => self.admit(at, tokens),
            Err(NotReserved::Ask) => {
                // A call that has taken too long has been given up, as the pipeline does.
                self.happen(Step::GiveUp(at));
                let lease = self.caches[at].ask(now, Some((tokens, 0)), self.limits, TTL);
                self.asking[at] = Some(tokens);
                self.made[at] = lease.report.sequence;
                self.to_cell.push((at, BudgetCommand::Lease(lease)));
            }
            Err(NotReserved::Asking | NotReserved::Denied(_) | NotReserved::CutOff { .. }) => {}
        }
    }

    fn end(&mut self, at: usize, percent: u64) {
        let now = self.time_of(at);
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
        let now = self.time_of(at);
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
        let reply = self.apply(command);
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
        let debt = self.caches.iter().map(LeaseCache::debt).sum::<u64>() + self.cell().debt();
        self.windows.on_admitted(self.now * 1_000, tokens, debt as f64);
        self.admitted += tokens;
    }

    pub fn totals(&mut self) -> Totals {
        match self.apply(BudgetCommand::Status { limits: self.limits }) {
            BudgetReply::Status(status) => {
                assert_eq!(status.held.tokens, 0, "{status:?}");
                status.tokens
            }
            other @ (BudgetReply::Leased(_) | BudgetReply::Done) => panic!("{other:?}"),
        }
    }
}

fn id() -> CellId {
    CellId::Budget(BudgetId {
        tenant: "acme".into(),
        name: "all".into(),
    })
}
