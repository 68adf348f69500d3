//! A fleet of edge locations that serve one tenant: each has a book, and does with it what the pipeline does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use tidegate_core::budget::{
    BudgetCell, BudgetCommand, BudgetLimits, BudgetReply, IDLE, LONGEST_CALL, LeaseCache, Leased, LeaseholderId,
    MOST_WAITS, NotReserved, Upkeep,
};
use tidegate_core::time::Timestamp;

use crate::random::Random;
use crate::window::{Returning, Windows};

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub limits: BudgetLimits,
    /// Requests per second at each location.
    pub demand: Vec<f64>,
    /// Tokens that a request reserves and then takes, at random between the bounds.
    pub reserves: std::ops::Range<u64>,
    pub takes: std::ops::Range<u64>,
    /// How long an answer runs, in milliseconds.
    pub runs_ms: std::ops::Range<u64>,
    pub seconds: u64,
    /// Figures are taken from this second on.
    pub warm_up: u64,
    /// The share of messages, each way, that is lost, and that of commands which come twice.
    pub lost: f64,
    pub doubled: f64,
    /// Locations' clocks are off by at most this.
    pub skew_ms: u64,
    /// How many locations die in a second, to be replaced by new ones.
    pub deaths: f64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub asked: u64,
    pub admitted: u64,
    pub denied: u64,
    pub cut_off: u64,
    pub calls: u64,
    /// Tokens that requests took, after the warm-up.
    pub taken: u64,
    /// The most that any window went beyond burst and rate.
    pub beyond: f64,
    /// Tokens that running requests took beyond what they had reserved.
    pub overrun: u64,
    pub per_location: Vec<Location>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Location {
    pub asked: u64,
    pub admitted: u64,
    pub calls: u64,
}

pub struct Fleet {
    plan: Plan,
    random: Random,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    contents: BTreeMap<u64, Event>,
    count: u64,
    cell: BudgetCell,
    sites: Vec<Site>,
    windows: Windows,
    /// Of all books.
    debt: u64,
    outcome: Outcome,
}

struct Site {
    book: LeaseCache,
    /// How many lives it has had; what belongs to an earlier one is nobody's.
    life: u64,
    skew: u64,
    call: u64,
    /// Tokens that requests wait for, and how many replies they have waited for.
    waiting: Vec<(u64, u32)>,
    /// What the request needs that has the cell asked.
    asker: Option<u64>,
    /// What the cell has heard of this life, and what it has granted in a reply that has not come yet.
    heard: u64,
    unheard: Option<u64>,
    /// The last report that it made, and what is on its way back.
    made: u64,
    returning: Returning,
    is_idling: bool,
}

enum Event {
    Arrives {
        at: usize,
    },
    Reaches {
        at: usize,
        life: u64,
        call: u64,
        command: Box<BudgetCommand>,
    },
    Replied {
        at: usize,
        life: u64,
        call: u64,
        leased: Box<Leased>,
    },
    GivenUp {
        at: usize,
        life: u64,
        call: u64,
    },
    Ends {
        at: usize,
        life: u64,
        reserved: u64,
        takes: u64,
    },
    Idles {
        at: usize,
        life: u64,
    },
    Dies,
}

const TTL: Duration = Duration::from_secs(30);
const EPOCH: u64 = 1_700_000_000_000_000;

impl Fleet {
    pub fn run(plan: Plan) -> Outcome {
        let rate = plan.limits.tokens.expect("a rate");
        let mut fleet = Self {
            random: Random(plan.seed),
            now: EPOCH,
            events: BinaryHeap::new(),
            contents: BTreeMap::new(),
            count: 0,
            cell: BudgetCell::default(),
            sites: Vec::new(),
            windows: Windows::new(rate.per_minute, rate.burst),
            debt: 0,
            outcome: Outcome {
                per_location: vec![Location::default(); plan.demand.len()],
                ..Outcome::default()
            },
            plan,
        };
        for at in 0..fleet.plan.demand.len() {
            let site = fleet.found(0);
            fleet.sites.push(site);
            fleet.arrive_later(at);
        }
        if fleet.plan.deaths > 0.0 {
            let after = fleet.random.until_next(fleet.plan.deaths);
            fleet.at(after, Event::Dies);
        }
        let end = EPOCH + fleet.plan.seconds * 1_000_000;
        while let Some(Reverse((time, number))) = fleet.events.pop() {
            if time > end {
                break;
            }
            fleet.now = time;
            let event = fleet.contents.remove(&number).expect("each event happens once");
            fleet.happen(event);
        }
        assert_eq!(fleet.cell.check_invariants(), Ok(()), "seed {}", fleet.plan.seed);
        fleet.outcome.beyond = fleet.windows.worst;
        fleet.outcome
    }

    fn found(&mut self, life: u64) -> Site {
        let skew = self.random.within(0..2 * self.plan.skew_ms + 1) * 1_000;
        let now = Timestamp::from_micros(self.now + skew);
        Site {
            book: LeaseCache::new(LeaseholderId(self.random.next()), now),
            life,
            skew,
            call: 0,
            waiting: Vec::new(),
            asker: None,
            heard: 0,
            unheard: None,
            made: 0,
            returning: Returning::default(),
            is_idling: false,
        }
    }

    fn at(&mut self, after: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now + after, self.count)));
        self.contents.insert(self.count, event);
    }

    fn arrive_later(&mut self, at: usize) {
        let demand = self.plan.demand[at];
        if demand > 0.0 {
            let after = self.random.until_next(demand);
            self.at(after, Event::Arrives { at });
        }
    }

    fn clock(&self, at: usize) -> Timestamp {
        Timestamp::from_micros(self.now + self.sites[at].skew)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives { at } => {
                self.arrive_later(at);
                self.outcome.asked += 1;
                self.outcome.per_location[at].asked += 1;
                let tokens = self.random.within(self.plan.reserves.clone());
                self.reserve(at, tokens, 0);
            }
            Event::Reaches {
                at,
                life,
                call,
                command,
            } => self.reach(at, life, call, *command),
            Event::Replied { at, life, call, leased } if self.is_current(at, life, call) => {
                self.sites[at].call = 0;
                let replied = self.with_book(at, |book, now| book.on_leased(now, *leased));
                self.after_call(at, Some(replied == Some(Ok(()))));
            }
            Event::GivenUp { at, life, call } if self.is_current(at, life, call) => {
                self.sites[at].call = 0;
                self.with_book(at, LeaseCache::on_unanswered);
                self.after_call(at, None);
            }
            Event::Ends {
                at,
                life,
                reserved,
                takes,
            } if self.sites[at].life == life => {
                self.end(at, reserved, takes);
            }
            Event::Idles { at, life } if self.sites[at].life == life => self.idle(at),
            Event::Dies => {
                let at = self.random.within(0..self.sites.len() as u64) as usize;
                let life = self.sites[at].life + 1;
                self.debt -= self.sites[at].book.debt();
                self.sites[at] = self.found(life);
                let after = self.random.until_next(self.plan.deaths);
                self.at(after, Event::Dies);
            }
            Event::Replied { .. } | Event::GivenUp { .. } | Event::Ends { .. } | Event::Idles { .. } => {}
        }
    }

    fn is_current(&self, at: usize, life: u64, call: u64) -> bool {
        self.sites[at].life == life && self.sites[at].call == call
    }

    /// A request wants tokens: those who find the cell being asked wait for the reply.
    fn reserve(&mut self, at: usize, tokens: u64, waited: u32) {
        match self.with_book(at, |book, now| book.reserve(now, tokens, 0)) {
            Ok(()) => self.admit(at, tokens),
            Err(NotReserved::Ask) => {
                self.ask(at, Some(tokens));
                self.sites[at].waiting.insert(0, (tokens, waited + 1));
            }
            Err(NotReserved::Asking) if waited < MOST_WAITS => {
                self.sites[at].book.on_waiting(tokens);
                self.sites[at].waiting.push((tokens, waited + 1));
            }
            Err(NotReserved::Asking) => self.outcome.denied += 1,
            Err(NotReserved::Denied(_)) => self.outcome.denied += 1,
            Err(NotReserved::CutOff { .. }) => self.outcome.cut_off += 1,
        }
        self.keep_up(at);
    }

    /// The request that asked, if one did, is the first of those that wait; it was granted what it needs, or refused, or
    /// has no answer.
    fn after_call(&mut self, at: usize, granted: Option<bool>) {
        let mut waiting = std::mem::take(&mut self.sites[at].waiting);
        if let (Some(granted), Some(tokens)) = (granted, self.sites[at].asker.take()) {
            waiting.remove(0);
            if granted {
                self.sites[at].unheard = None;
                self.run_on(at, tokens);
            } else {
                self.outcome.denied += 1;
            }
        }
        for (tokens, waited) in waiting {
            self.sites[at].book.on_waited(tokens);
            self.reserve(at, tokens, waited);
        }
        self.keep_up(at);
    }

    fn admit(&mut self, at: usize, tokens: u64) {
        self.count_admitted(tokens as f64);
        self.run_on(at, tokens);
    }

    fn run_on(&mut self, at: usize, tokens: u64) {
        self.outcome.admitted += 1;
        self.outcome.per_location[at].admitted += 1;
        let takes = self.random.within(self.plan.takes.clone());
        let after = self.random.within(self.plan.runs_ms.clone()) * 1_000;
        let life = self.sites[at].life;
        let reserved = tokens;
        self.at(
            after,
            Event::Ends {
                at,
                life,
                reserved,
                takes,
            },
        );
    }

    fn count_admitted(&mut self, tokens: f64) {
        let debt = self.debt + self.cell.debt();
        self.windows.on_admitted(self.now - EPOCH, tokens, debt as f64);
    }

    /// Does something with a book, and keeps the sum of all books' debts.
    fn with_book<T>(&mut self, at: usize, work: impl FnOnce(&mut LeaseCache, Timestamp) -> T) -> T {
        let now = self.clock(at);
        let book = &mut self.sites[at].book;
        let before = book.debt();
        let done = work(book, now);
        self.debt = self.debt + book.debt() - before;
        done
    }

    fn end(&mut self, at: usize, reserved: u64, takes: u64) {
        let overrun = takes.saturating_sub(reserved);
        self.outcome.overrun += overrun;
        let at_once = self.with_book(at, |book, now| {
            book.extend(now, overrun);
            let held = book.held().tokens;
            book.settle(now, reserved + overrun, takes);
            book.held().tokens.saturating_sub(held)
        });
        let later = reserved.saturating_sub(takes).saturating_sub(at_once);
        let made = self.sites[at].made;
        self.sites[at].returning.on_returned(made, later);
        self.count_admitted(-(at_once as f64));
        if self.now >= EPOCH + self.plan.warm_up * 1_000_000 {
            self.outcome.taken += takes;
        }
        self.keep_up(at);
        if !self.sites[at].is_idling {
            self.sites[at].is_idling = true;
            let life = self.sites[at].life;
            self.at(IDLE.as_micros() as u64, Event::Idles { at, life });
        }
    }

    fn idle(&mut self, at: usize) {
        let now = self.clock(at);
        let site = &mut self.sites[at];
        site.is_idling = false;
        if site.book.is_idle(now) {
            if site.book.has_news() {
                let report = site.book.settle_up(now);
                self.call(at, 0, BudgetCommand::Settle(report));
            }
        } else {
            site.is_idling = true;
            let life = site.life;
            self.at(IDLE.as_micros() as u64, Event::Idles { at, life });
        }
    }

    fn keep_up(&mut self, at: usize) {
        let now = self.clock(at);
        match self.sites[at].book.upkeep(now) {
            Some(Upkeep::Renew) => self.ask(at, None),
            Some(Upkeep::Settle) => {
                let report = self.sites[at].book.settle_up(now);
                self.call(at, 0, BudgetCommand::Settle(report));
            }
            None => {}
        }
    }

    fn ask(&mut self, at: usize, tokens: Option<u64>) {
        let (now, limits) = (self.clock(at), self.plan.limits);
        let lease = self.sites[at]
            .book
            .ask(now, tokens.map(|tokens| (tokens, 0)), limits, TTL);
        let call = self.random.next() | 1;
        self.sites[at].call = call;
        self.sites[at].asker = tokens;
        let life = self.sites[at].life;
        self.at(LONGEST_CALL.as_micros() as u64, Event::GivenUp { at, life, call });
        self.call(at, call, BudgetCommand::Lease(lease));
    }

    fn call(&mut self, at: usize, call: u64, command: BudgetCommand) {
        self.outcome.calls += 1;
        self.outcome.per_location[at].calls += 1;
        let life = self.sites[at].life;
        self.sites[at].made += 1;
        if self.random.share() >= self.plan.lost {
            let after = self.latency();
            let command = Box::new(command.clone());
            self.at(
                after,
                Event::Reaches {
                    at,
                    life,
                    call,
                    command,
                },
            );
        }
        if self.random.share() < self.plan.doubled {
            let after = self.random.within(0..5_000_000);
            let command = Box::new(command);
            self.at(
                after,
                Event::Reaches {
                    at,
                    life,
                    call,
                    command,
                },
            );
        }
    }

    /// A request that waits for the cell is admitted when the cell grants what it needs. If the reply gets lost, that is
    /// taken back with the next message.
    fn reach(&mut self, at: usize, life: u64, call: u64, command: BudgetCommand) {
        let (sequence, need) = match &command {
            BudgetCommand::Lease(lease) => (lease.report.sequence, lease.need.map(|need| need.tokens)),
            BudgetCommand::Settle(report) => (report.sequence, None),
            BudgetCommand::Status { .. } | BudgetCommand::SetLimits(_) => return,
        };
        let is_news = self.sites[at].life == life && sequence > self.sites[at].heard;
        let reply = self.cell.apply(Timestamp::from_micros(self.now), command);
        if is_news {
            let site = &mut self.sites[at];
            site.heard = sequence;
            let back = site.returning.on_heard(sequence) + site.unheard.take().unwrap_or(0);
            self.count_admitted(-(back as f64));
        }
        if let BudgetReply::Leased(leased) = reply {
            if let Some(tokens) = need.filter(|_| is_news && leased.denied.is_none()) {
                self.sites[at].unheard = Some(tokens);
                self.count_admitted(tokens as f64);
            }
            if self.random.share() >= self.plan.lost {
                let after = self.latency();
                self.at(after, Event::Replied { at, life, call, leased });
            }
        }
    }

    /// From next door to the other side of the Earth.
    fn latency(&mut self) -> u64 {
        self.random.within(5_000..150_000)
    }
}
