//! Edge locations in front of one small cluster, each a whole gateway in the virtual world, and clients that come to them
//! at random.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, pending, select};
use futures::{FutureExt, StreamExt};
use http::Request;
use tidegate_core::Body;
use tidegate_core::cells::{CellCommand, CellId, CellReply};
use tidegate_core::cluster::{Capacity, ClusterCommand, ClusterReply, ReplicaStatus};
use tidegate_core::ids::ReplicaName;
use tidegate_virtual::{CellKind, Edge, Link, Passing, Random, World};

use crate::audit::Audit;
use crate::config::{AUTHORIZATION, CLUSTER, SharedConfig};
use crate::engine::{Behaviour, engines, request};

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub locations: usize,
    /// Clients that come to each location in a second.
    pub per_second: f64,
    /// How many locations die in a second, to be replaced by new ones.
    pub deaths: f64,
    /// The share of requests that an engine fails.
    pub failures: f64,
    /// The share of clients that leave before they have their answer.
    pub leave: f64,
    /// In what share of calls to the platform another thread comes in between.
    pub interrupted: f64,
    /// How long answers run: shorter than a permit holds without renewal, so that lost renewals end none that is in use.
    pub runs: Range<Duration>,
    /// The way to the cluster's cell.
    pub link: Link,
}

pub struct Fleet {
    plan: Plan,
    world: World,
    config: SharedConfig,
    audit: Rc<RefCell<Audit>>,
    sites: Rc<RefCell<Vec<Edge>>>,
    served: Rc<Cell<u64>>,
    deaths: Rc<Cell<u32>>,
    is_open: Rc<Cell<bool>>,
    sent: Rc<RefCell<Vec<CellCommand>>>,
    random: Random,
}

impl Fleet {
    pub fn new(plan: Plan) -> Self {
        let audit = Rc::new(RefCell::new(Audit::new(plan.seed)));
        let behaviour = Behaviour {
            runs: plan.runs.clone(),
            failures: plan.failures,
        };
        let world = World::new(plan.seed, engines(&audit, behaviour, plan.seed));
        world.shuffle();
        world.interrupt(plan.interrupted);
        world.set_link(CellKind::Cluster, plan.link.clone());
        let sent = Rc::<RefCell<Vec<_>>>::default();
        let log = Rc::clone(&sent);
        world.watch(move |traffic| {
            if let Passing::Sent { command } = traffic.what {
                log.borrow_mut().push(command.clone());
            }
        });
        let mut fleet = Self {
            world,
            config: SharedConfig::new(),
            audit,
            sites: Rc::default(),
            served: Rc::default(),
            deaths: Rc::default(),
            is_open: Rc::new(Cell::new(true)),
            sent,
            random: Random::of(plan.seed, 2),
            plan,
        };
        for _ in 0..fleet.plan.locations {
            let edge = fleet.found();
            fleet.sites.borrow_mut().push(edge);
        }
        fleet
    }

    /// Has clients come, and locations die, at random.
    pub fn open(&mut self) {
        for at in 0..self.plan.locations {
            let (sites, served) = (Rc::clone(&self.sites), Rc::clone(&self.served));
            let (leave, runs) = (self.plan.leave, self.plan.runs.clone());
            self.every_so_often(self.plan.per_second, move |random| {
                let body = request(random.within(0..6), random.within(2..31), random.happens(0.5));
                let leaves_after = random.happens(leave).then(|| random.time_within(&runs));
                client(&sites.borrow()[at], &body, leaves_after, &served);
            });
        }
        let deaths = Rc::clone(&self.deaths);
        self.every_so_often(self.plan.deaths, move |_| deaths.set(deaths.get() + 1));
    }

    /// A client comes to the first location, now.
    pub fn come(&self, conversation: u64, kv_tokens: u64) {
        let body = request(conversation, kv_tokens, false);
        client(&self.sites.borrow()[0], &body, None, &self.served);
    }

    /// Lets things happen for that long, and checks at each moment.
    pub fn serve_for(&mut self, time: Duration) {
        let end = self.world.now() + time;
        // So that there is a moment at which it ends.
        self.world.spawn(self.world.clock().sleep(time));
        loop {
            self.world.settle();
            let known = self.known();
            self.audit
                .borrow()
                .check(self.world.now(), &known, |replica| self.idle(replica));
            for _ in 0..self.deaths.take() {
                self.bury_one();
            }
            if self.world.now() >= end || !self.world.advance() {
                return;
            }
        }
    }

    /// No more clients come, and messages arrive: everything is free then. Gives how many requests were served.
    pub fn close(&mut self) -> u64 {
        self.is_open.set(false);
        self.world.set_link(CellKind::Cluster, Link::IDEAL);
        self.serve_for(Duration::from_secs(120));
        let known = self.known();
        self.audit.borrow().check_free(&known, |replica| self.idle(replica));
        self.served.get()
    }

    /// How many commands of a kind were sent to cells.
    pub fn commands(&self, is_one: impl Fn(&CellCommand) -> bool) -> usize {
        self.sent.borrow().iter().filter(|command| is_one(command)).count()
    }

    fn every_so_often(&mut self, per_second: f64, mut act: impl FnMut(&mut Random) + 'static) {
        let (random, is_open) = (Random::new(self.random.bits()), Rc::clone(&self.is_open));
        self.world.at_random(random, per_second, move |random| {
            if is_open.get() {
                act(random);
            }
            is_open.get()
        });
    }

    fn bury_one(&mut self) {
        let at = usize::try_from(self.random.within(0..self.plan.locations as u64)).unwrap();
        let new = self.found();
        let old = std::mem::replace(&mut self.sites.borrow_mut()[at], new);
        old.platform.kill();
    }

    fn found(&mut self) -> Edge {
        Edge::new(self.config.gateway(), self.world.start(Duration::ZERO))
    }

    /// What the cell knows of.
    fn known(&self) -> Vec<ReplicaStatus> {
        let command = CellCommand::Cluster(ClusterCommand::Status);
        let id = CellId::Cluster(CLUSTER.into());
        let applied = self.world.with_cell(&id, |cell| cell.apply(self.world.now(), command));
        let CellReply::Cluster(ClusterReply::Status(status)) = applied.reply else {
            panic!("no status")
        };
        status
    }

    /// What locations keep of a replica for requests to come.
    fn idle(&self, replica: &ReplicaName) -> Capacity {
        let sites = self.sites.borrow();
        let idle = sites.iter().map(|edge| edge.gateway.idle_at(&CLUSTER.into(), replica));
        idle.fold(Capacity::default(), |sum, idle| sum + idle)
    }
}

/// A client asks, and reads its answer to the end, or leaves after so long.
fn client(edge: &Edge, body: &str, leaves_after: Option<Duration>, served: &Rc<Cell<u64>>) {
    let request = Request::post("/v1/completions").header("authorization", AUTHORIZATION);
    let (response, served) = (edge.serve(request, body), Rc::clone(served));
    let leaving = match leaves_after {
        Some(after) => edge.platform.clock().sleep(after).boxed_local(),
        None => pending().boxed_local(),
    };
    edge.spawn(async move {
        let reading = async {
            let response = response.await;
            let is_served = response.status() == 200;
            if let Body::Stream(body) = response.into_body() {
                body.collect::<Vec<_>>().await;
            }
            is_served
        };
        if let Either::Left((true, _)) = select(reading.boxed_local(), leaving).await {
            served.set(served.get() + 1);
        }
    });
}
