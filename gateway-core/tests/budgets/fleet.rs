//! A fleet of edge locations that serve one tenant, each a whole gateway in the virtual world, and clients that come to
//! them at random.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use http::Request;
use tidegate_core::budget::{BudgetCommand, BudgetLimits, BudgetReply, BudgetStatus, Rate};
use tidegate_core::cells::{CellCommand, CellId, CellReply};
use tidegate_virtual::{CellKind, Edge, Link, ProcessId, Random, World};

use crate::audit::Audit;
use crate::config::{AUTHORIZATION, SharedConfig, budget, location};
use crate::engine::{Answers, engines, request};

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub rate: Rate,
    /// Requests per second at each location.
    pub demand: Vec<f64>,
    /// Tokens that a request reserves, at least two, and what it takes then.
    pub reserves: Range<u64>,
    pub answers: Answers,
    pub seconds: u64,
    /// Figures are taken from this second on.
    pub warm_up: u64,
    /// The way to the budget's cell.
    pub link: Link,
    pub faults: Faults,
}

/// What goes wrong beside the link.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Locations' clocks are ahead of the cell's by at most this.
    pub ahead: Duration,
    /// How many clocks are set in a second, each forward by at most five seconds or back by at most an hour.
    pub clocks_set: f64,
    /// How many locations die in a second, to be replaced by new ones.
    pub deaths: f64,
    /// The share of clients that leave before they have their answer.
    pub leave: f64,
    /// In what share of calls to the platform another thread comes in between.
    pub interrupted: f64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub asked: u64,
    pub admitted: u64,
    pub denied: u64,
    pub cut_off: u64,
    pub calls: u64,
    /// Tokens that requests took which ended after the warm-up.
    pub taken: u64,
    /// Tokens that running requests took beyond what they had reserved.
    pub overrun: u64,
    pub per_location: Vec<Location>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Location {
    pub asked: u64,
    pub calls: u64,
}

pub struct Fleet {
    plan: Plan,
    world: World,
    config: SharedConfig,
    audit: Rc<RefCell<Audit>>,
    sites: Sites,
    /// By process, at which location it is.
    location_of: Vec<usize>,
    counts: Rc<RefCell<Outcome>>,
    deaths: Rc<Cell<u32>>,
    is_open: Rc<Cell<bool>>,
    random: Random,
}

/// The gateways by location, as clients find them.
type Sites = Rc<RefCell<Vec<Edge>>>;

impl Fleet {
    /// Lets a fleet serve, checks all the while, and then that everything is accounted for.
    pub fn run(plan: Plan) -> Outcome {
        let mut fleet = Self::new(plan);
        fleet.open();
        fleet.serve_for(Duration::from_secs(fleet.plan.warm_up));
        let before = fleet.audit.borrow().taken;
        fleet.serve_for(Duration::from_secs(fleet.plan.seconds - fleet.plan.warm_up));
        let taken = fleet.audit.borrow().taken - before;
        fleet.close();
        fleet.outcome(taken)
    }

    pub fn new(plan: Plan) -> Self {
        let audit = Rc::new(RefCell::new(Audit::new(plan.seed, plan.rate)));
        let world = World::new(plan.seed, engines(&audit, plan.answers.clone(), plan.seed));
        world.shuffle();
        world.interrupt(plan.faults.interrupted);
        world.set_link(CellKind::Budget, plan.link.clone());
        let watching = Rc::clone(&audit);
        world.watch(move |traffic| watching.borrow_mut().on_traffic(traffic));
        let mut fleet = Self {
            world,
            config: SharedConfig::new(plan.rate),
            audit,
            sites: Sites::default(),
            location_of: Vec::new(),
            counts: Rc::new(RefCell::new(Outcome {
                per_location: vec![Location::default(); plan.demand.len()],
                ..Outcome::default()
            })),
            deaths: Rc::default(),
            is_open: Rc::new(Cell::new(true)),
            random: Random::of(plan.seed, 1),
            plan,
        };
        for at in 0..fleet.plan.demand.len() {
            let edge = fleet.found(at);
            fleet.sites.borrow_mut().push(edge);
        }
        fleet
    }

    /// A client comes to a location, now. What it is told is counted, and so is what it takes.
    pub fn come(&self, at: usize, reserves: u64) {
        let edge = self.sites.borrow()[at].clone();
        client(&edge, &request(reserves), None, &self.counts);
    }

    /// Lets things happen for that long, and checks at each moment.
    pub fn serve_for(&mut self, time: Duration) {
        let end = self.world.now() + time;
        // So that there is a moment at which it ends.
        self.world.spawn(self.world.clock().sleep(time));
        loop {
            self.world.settle();
            self.check();
            for _ in 0..self.deaths.take() {
                self.bury_one();
            }
            if self.world.now() >= end || !self.world.advance() {
                return;
            }
        }
    }

    /// How many requests have been admitted so far.
    pub fn admitted(&self) -> u64 {
        self.counts.borrow().admitted
    }

    /// No more clients come, and messages arrive: whatever was granted is accounted for then.
    pub fn close(&mut self) {
        self.is_open.set(false);
        self.world.set_link(CellKind::Budget, Link::IDEAL);
        // A process whose clock was set back may have to wait a minute until it takes it that it is idle.
        self.serve_for(Duration::from_secs(120));
        let BudgetStatus { tokens, held, .. } = self.status();
        let seed = self.plan.seed;
        assert_eq!(held.tokens, 0, "seed {seed}: everything has come back");
        assert_eq!(
            tokens.granted,
            tokens.spent + tokens.returned + tokens.written_off,
            "seed {seed}"
        );
        self.audit.borrow().check_told(tokens.spent);
    }

    /// Has everything happen that happens at random.
    fn open(&mut self) {
        for at in 0..self.plan.demand.len() {
            self.send_clients(at);
        }
        let Faults { deaths, clocks_set, .. } = self.plan.faults;
        let count = Rc::clone(&self.deaths);
        self.every_so_often(deaths, move |_| count.set(count.get() + 1));
        let sites = Rc::clone(&self.sites);
        self.every_so_often(clocks_set, move |random| {
            let sites = sites.borrow();
            let which = random.within(0..sites.len() as u64);
            let by = random.time_within(&(Duration::ZERO..Duration::from_secs(5)));
            let wall = sites[usize::try_from(which).unwrap()].platform.wall_clock();
            if by < Duration::from_millis(2_500) {
                wall.put_forward(by * 2);
            } else {
                wall.put_back(by * 720);
            }
        });
    }

    /// Has clients come to a location.
    fn send_clients(&mut self, at: usize) {
        let (reserves, runs) = (self.plan.reserves.clone(), self.plan.answers.runs.clone());
        let (leave, demand) = (self.plan.faults.leave, self.plan.demand[at]);
        let (sites, counts) = (Rc::clone(&self.sites), Rc::clone(&self.counts));
        self.every_so_often(demand, move |random| {
            counts.borrow_mut().asked += 1;
            counts.borrow_mut().per_location[at].asked += 1;
            let leaves_after = random.happens(leave).then(|| random.time_within(&runs));
            let edge = sites.borrow()[at].clone();
            client(&edge, &request(random.within(reserves.clone())), leaves_after, &counts);
        });
    }

    /// Does something at random moments, so many in a second, while the fleet is open.
    fn every_so_often(&mut self, per_second: f64, mut act: impl FnMut(&mut Random) + 'static) {
        let (random, is_open) = (Random::new(self.random.bits()), Rc::clone(&self.is_open));
        self.world.at_random(random, per_second, move |random| {
            if is_open.get() {
                act(random);
            }
            is_open.get()
        });
    }

    fn check(&mut self) {
        let active = self.world.take_active();
        let sites = self.sites.borrow();
        let accounts = active.iter().filter_map(|process| {
            let edge = &sites[self.location_of[usize::try_from(process.0).ok()?]];
            Some((*process, edge.gateway.lease_account(&budget())?))
        });
        self.audit.borrow_mut().check(self.world.now(), accounts);
    }

    fn bury_one(&mut self) {
        let count = self.sites.borrow().len() as u64;
        let at = usize::try_from(self.random.within(0..count)).unwrap();
        let new = self.found(at);
        let old = std::mem::replace(&mut self.sites.borrow_mut()[at], new);
        self.audit.borrow_mut().on_death(old.platform.process());
        old.platform.kill();
    }

    /// A gateway in a new process.
    fn found(&mut self, at: usize) -> Edge {
        let ahead = self.random.time_within(&(Duration::ZERO..self.plan.faults.ahead));
        self.location_of.push(at);
        Edge {
            gateway: self.config.gateway(),
            platform: self.world.start(ahead),
            location: location(at),
        }
    }

    fn status(&self) -> BudgetStatus {
        let limits = BudgetLimits {
            tokens: Some(self.plan.rate),
            ..BudgetLimits::default()
        };
        let command = CellCommand::Budget(BudgetCommand::Status { limits });
        let id = CellId::Budget(budget());
        let applied = self.world.with_cell(&id, |cell| cell.apply(self.world.now(), command));
        let CellReply::Budget(BudgetReply::Status(status)) = applied.reply else {
            panic!("{:?}", applied.reply)
        };
        *status
    }

    fn outcome(&self, taken: u64) -> Outcome {
        let mut outcome = self.counts.take();
        let audit = self.audit.borrow();
        for (ProcessId(process), calls) in audit.calls() {
            outcome.calls += calls;
            outcome.per_location[self.location_of[usize::try_from(process).unwrap()]].calls += calls;
        }
        let overrun = audit.overrun;
        Outcome {
            taken,
            overrun,
            ..outcome
        }
    }
}

/// A client asks, and waits for its answer, or leaves after so long.
fn client(edge: &Edge, body: &str, leaves_after: Option<Duration>, counts: &Rc<RefCell<Outcome>>) {
    let request = Request::post("/v1/completions").header("authorization", AUTHORIZATION);
    let (response, counts) = (edge.serve(request, body), Rc::clone(counts));
    let leaving = leaves_after.map(|after| edge.platform.clock().sleep(after));
    edge.spawn(async move {
        let leaving = async {
            match leaving {
                Some(leaving) => leaving.await,
                None => std::future::pending().await,
            }
        };
        futures::pin_mut!(response, leaving);
        let futures::future::Either::Left((response, _)) = futures::future::select(response, leaving).await else {
            return;
        };
        let mut counts = counts.borrow_mut();
        match response.status().as_u16() {
            200 => counts.admitted += 1,
            429 => counts.denied += 1,
            503 => counts.cut_off += 1,
            other => panic!("{other}: {response:?}"),
        }
    });
}
