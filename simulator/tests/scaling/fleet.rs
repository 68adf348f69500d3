//! The replicas of one cluster, as Kubernetes has them in a StatefulSet: those that are started take their time, and those
//! that are ended drain first, as docs/deploy/kubernetes.md has it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::Request;
use tidegate_core::time::Timestamp;
use tidegate_virtual::{Clock, Edge, Engines, World};

use crate::COLD_START_S;
use crate::replica::{Replica, Stage};

/// Most replicas that there are.
pub const MOST: usize = 10;

pub struct Fleet {
    replicas: Vec<Rc<Replica>>,
    clock: Rc<Clock>,
    edge: Edge,
    /// How many should be there.
    wanted: Cell<usize>,
    changes: Cell<u32>,
    /// Until when the replicas' time is counted, and how much that is so far.
    counted: Cell<(Timestamp, f64)>,
}

/// The engines of a world, and what drives them.
pub fn replicas(clock: &Rc<Clock>) -> (Vec<Rc<Replica>>, Vec<impl Future<Output = ()> + 'static>) {
    (0..MOST).map(|_| Replica::new(Rc::clone(clock))).unzip()
}

/// The same as a world wants them.
pub fn engines(replicas: &Rc<std::cell::OnceCell<Vec<Rc<Replica>>>>) -> Engines {
    let replicas = Rc::clone(replicas);
    Rc::new(move |_, upstream| {
        let host = upstream.request.uri().host().unwrap_or_default();
        let index: usize = host.trim_start_matches('r').parse().expect("a replica");
        replicas.get().expect("engines")[index].answer(&upstream.request)
    })
}

impl Fleet {
    pub fn new(world: &World, edge: &Edge, replicas: Vec<Rc<Replica>>, wanted: usize) -> Rc<Self> {
        for replica in &replicas[..wanted] {
            replica.stage.set(Stage::Up);
        }
        Rc::new(Self {
            replicas,
            clock: world.clock(),
            edge: edge.clone(),
            wanted: Cell::new(wanted),
            changes: Cell::default(),
            counted: Cell::new((world.now(), 0.0)),
        })
    }

    /// How many should be there.
    pub fn wanted(&self) -> usize {
        self.wanted.get()
    }

    /// How often that changed.
    pub fn changes(&self) -> u32 {
        self.changes.get()
    }

    /// The share of their places that replicas use which are up, each.
    pub fn utilisation(&self) -> Vec<f64> {
        let up = self.replicas.iter().filter(|replica| replica.stage.get() == Stage::Up);
        up.map(|replica| replica.running() as f64 / f64::from(crate::replica::MAX_RUNNING))
            .collect()
    }

    /// How many start.
    pub fn starting(&self) -> usize {
        self.replicas
            .iter()
            .filter(|replica| replica.stage.get() == Stage::Starting)
            .count()
    }

    /// For how many hours all replicas together have been there, or on their way.
    pub fn replica_hours(&self) -> f64 {
        let (since, hours) = self.counted.get();
        let there = self
            .replicas
            .iter()
            .filter(|replica| replica.stage.get() != Stage::Down)
            .count();
        let hours = hours + self.clock.now().since(since).as_secs_f64() / 3_600.0 * there as f64;
        self.counted.set((self.clock.now(), hours));
        hours
    }

    /// So many should be there from now on.
    pub fn scale_to(self: &Rc<Self>, wanted: usize) {
        let wanted = wanted.min(MOST);
        self.replica_hours();
        self.changes
            .set(self.changes.get() + u32::from(wanted != self.wanted.get()));
        self.wanted.set(wanted);
        for (index, replica) in self.replicas.iter().enumerate() {
            match (replica.stage.get(), index < wanted) {
                (Stage::Down, true) => self.start(index),
                (Stage::Starting, false) => replica.stage.set(Stage::Down),
                (Stage::Up, false) => self.end(index),
                // One that drains goes down first, as Kubernetes lets no pod have another's name.
                (Stage::Draining, _) | (Stage::Down, false) | (Stage::Up | Stage::Starting, true) => {}
            }
        }
    }

    fn start(self: &Rc<Self>, index: usize) {
        let fleet = Rc::clone(self);
        self.replicas[index].stage.set(Stage::Starting);
        self.edge.spawn(async move {
            fleet.clock.sleep(Duration::from_secs(COLD_START_S)).await;
            let replica = &fleet.replicas[index];
            if replica.stage.get() == Stage::Starting {
                replica.renew();
                fleet.ask_to_drain(index, "DELETE").await;
                replica.stage.set(Stage::Up);
            }
        });
    }

    fn end(self: &Rc<Self>, index: usize) {
        let fleet = Rc::clone(self);
        self.replicas[index].stage.set(Stage::Draining);
        self.edge.spawn(async move {
            fleet.ask_to_drain(index, "POST").await;
            // Requests that were on their way are there by then.
            fleet.clock.sleep(Duration::from_secs(2)).await;
            while fleet.replicas[index].running() > 0 {
                fleet.clock.sleep(Duration::from_secs(1)).await;
            }
            fleet.replica_hours();
            fleet.replicas[index].stage.set(Stage::Down);
            fleet.scale_to(fleet.wanted());
        });
    }

    async fn ask_to_drain(&self, index: usize, method: &str) {
        let uri = format!("/admin/v1/clusters/big/replicas/r{index}/drain");
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", "Bearer admin");
        let response = self.edge.serve(request, "").await;
        assert_eq!(response.status(), 200);
    }
}
