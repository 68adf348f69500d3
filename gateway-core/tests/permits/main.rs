//! Books of permits and the cell of their cluster, over random histories in which messages are late, lost or told again:
//! no replica ever runs more than it has room for, the cell never knows of less than the books hold, and in the end
//! everything is free.

use std::time::Duration;

use proptest::prelude::*;
use tidegate_core::cluster::{
    Acquire, BreakerPolicy, Capacity, ClusterCell, ClusterCommand, ClusterReply, Extend, HeldPermit, Outcome,
    PermitCache, PermitId, Release, Releases, Renew, ReplicaStatus,
};
use tidegate_core::ids::{ReplicaName, Tokens};
use tidegate_core::time::Timestamp;

const TTL: Duration = Duration::from_secs(30);
const BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 3,
    open: Duration::from_secs(5),
};
const ROOM: Capacity = Capacity {
    requests: 20,
    kv_tokens: Tokens(400),
};
const BOOKS: usize = 3;

/// A request that runs.
#[derive(Clone, Debug)]
struct StreamingCount {
    book: usize,
    held: HeldPermit,
    /// Whether its permit is kept in the book.
    is_kept: bool,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Late,
    Lost,
}

#[derive(Clone, Debug)]
enum Event {
    /// A request of that affinity comes to that location.
    Begin {
        book: usize,
        affinity: u64,
        kv_tokens: u64,
        reply: Fate,
    },
    /// One of those that run ends.
    End { which: usize, outcome: Outcome, told: Fate },
    /// Time passes, and permits are renewed where they must be.
    Pass { millis: u64 },
    /// What is idle at that location goes back.
    GiveBack { book: usize, told: Fate },
    /// The late messages arrive, the last one first.
    Deliver,
}

struct World {
    now: Timestamp,
    cell: ClusterCell,
    replicas: Vec<ReplicaName>,
    books: Vec<PermitCache>,
    running: Vec<StreamingCount>,
    late: Vec<ClusterCommand>,
    permits: u64,
}

impl World {
    fn new() -> Self {
        Self {
            now: Timestamp::from_millis(1_000_000),
            cell: ClusterCell::default(),
            replicas: vec!["http://a".into(), "http://b".into()],
            books: (0..BOOKS).map(|_| PermitCache::default()).collect(),
            running: Vec::new(),
            late: Vec::new(),
            permits: 0,
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Begin {
                book,
                affinity,
                kv_tokens,
                reply,
            } => self.begin(book, affinity, Tokens(kv_tokens), reply),
            Event::End { which, outcome, told } if !self.running.is_empty() => {
                let ended = self.running.swap_remove(which % self.running.len());
                self.end(&ended, outcome, told);
            }
            Event::End { .. } => {}
            Event::Pass { millis } => self.pass(Duration::from_millis(millis)),
            Event::GiveBack { book, told } => {
                let releases = self.books[book].give_back_idle(self.now);
                self.release(releases, told);
            }
            Event::Deliver => {
                while let Some(command) = self.late.pop() {
                    self.cell.apply(self.now, command);
                }
            }
        }
    }

    fn begin(&mut self, book: usize, affinity: u64, kv_tokens: Tokens, reply: Fate) {
        let capacity = Capacity::of_one(kv_tokens);
        let kept = &mut self.books[book];
        if let Some(taken) = kept.take(self.now, affinity, &self.replicas, kv_tokens, 0) {
            let replica = self.replicas[taken.replica].clone();
            if taken.is_to_extend {
                self.extend(book, taken.replica, reply);
            }
            let held = HeldPermit {
                permit: taken.permit,
                replica,
                capacity,
            };
            return self.running.push(StreamingCount {
                book,
                held,
                is_kept: true,
            });
        }
        self.permits += 1;
        let permit = PermitId(self.permits);
        let acquire = Acquire {
            permit,
            kv_tokens,
            spare: kept.spare(affinity, &self.replicas),
            replicas: self.replicas.clone(),
            room: ROOM,
            headroom_percent: 0,
            tried: Vec::new(),
            affinity: Some(affinity),
            ttl: TTL,
        };
        let ClusterReply::Granted(grant) = self.cell.apply(self.now, ClusterCommand::Acquire(acquire)) else {
            return;
        };
        match reply {
            Fate::Arrives | Fate::Late => {
                let held = |capacity| HeldPermit {
                    permit,
                    replica: grant.replica.clone(),
                    capacity,
                };
                if let Some(lent) = grant.lent {
                    self.books[book].on_granted(self.now, &held(capacity.times(1 + lent)), capacity, TTL);
                }
                self.running.push(StreamingCount {
                    book,
                    held: held(capacity),
                    is_kept: grant.lent.is_some(),
                });
            }
            // Who asked gives up, not knowing where it would have been.
            Fate::Lost => self.release(vec![Release::of_all(permit, None, Outcome::Unknown)], Fate::Late),
        }
    }

    fn extend(&mut self, book: usize, replica: usize, reply: Fate) {
        let replica = self.replicas[replica].clone();
        let extend = Extend {
            held: self.books[book].held_at(&replica),
            replica: replica.clone(),
            replicas: self.replicas.clone(),
            room: ROOM,
            ttl: TTL,
        };
        let ClusterReply::Extended(extended) = self.cell.apply(self.now, ClusterCommand::Extend(extend)) else {
            panic!("another reply")
        };
        match reply {
            Fate::Arrives | Fate::Late => {
                let releases = self.books[book].on_extended(self.now, &replica, extended.lends, TTL);
                self.release(releases, reply);
            }
            Fate::Lost => {}
        }
    }

    fn end(&mut self, ended: &StreamingCount, outcome: Outcome, told: Fate) {
        let HeldPermit {
            permit,
            replica,
            capacity,
        } = ended.held.clone();
        let releases = if ended.is_kept {
            self.books[ended.book].on_end(self.now, &replica, permit, capacity, outcome)
        } else {
            vec![Release::of_all(permit, Some(replica), outcome)]
        };
        self.release(releases, told);
    }

    fn release(&mut self, releases: Vec<Release>, told: Fate) {
        let breaker = BREAKER;
        let command = ClusterCommand::Release(Releases { releases, breaker });
        match told {
            Fate::Arrives => drop(self.cell.apply(self.now, command)),
            Fate::Late => self.late.push(command),
            Fate::Lost => {}
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        let mut held: Vec<_> = self
            .running
            .iter()
            .filter(|running| !running.is_kept)
            .map(|running| running.held.clone())
            .collect();
        for book in &mut self.books {
            held.extend(book.renew(self.now, TTL / 3));
        }
        self.cell
            .apply(self.now, ClusterCommand::Renew(Renew { held, ttl: TTL }));
    }

    fn status(&mut self) -> Vec<ReplicaStatus> {
        let ClusterReply::Status(status) = self.cell.apply(self.now, ClusterCommand::Status) else {
            panic!("no status")
        };
        status
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.cell.check_invariants(), Ok(()));
        let status = self.status();
        for replica in &self.replicas {
            let sum = |capacities: &mut dyn Iterator<Item = Capacity>| {
                capacities.fold(Capacity::default(), |sum, capacity| sum + capacity)
            };
            let at = |running: &&StreamingCount| running.held.replica == *replica;
            let running = sum(&mut self.running.iter().filter(at).map(|running| running.held.capacity));
            let own = sum(&mut self
                .running
                .iter()
                .filter(at)
                .filter(|running| !running.is_kept)
                .map(|running| running.held.capacity));
            let kept = self.books.iter().flat_map(|book| book.held_at(replica));
            let held = own + sum(&mut kept.map(|held| held.capacity));
            let known = status.iter().find(|status| status.replica == *replica);
            let known = known.map_or(Capacity::default(), |status| Capacity {
                requests: status.running,
                kv_tokens: status.kv_tokens,
            });
            let room = Capacity {
                requests: ROOM.requests,
                kv_tokens: ROOM.kv_tokens,
            };
            prop_assert!(held.holds(running), "{running:?} run of {held:?}");
            prop_assert!(known.holds(held), "the cell knows of {known:?}, held are {held:?}");
            prop_assert!(room.holds(known), "{known:?}");
        }
        Ok(())
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Arrives), 2 => Just(Fate::Late), 1 => Just(Fate::Lost)]
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![8 => Just(Outcome::Served), 1 => Just(Outcome::Failed), 1 => Just(Outcome::Unknown)];
    prop_oneof![
        8 => (0..BOOKS, 0_u64..6, 1_u64..30, fate()).prop_map(|(book, affinity, kv_tokens, reply)| Event::Begin {
            book,
            affinity,
            kv_tokens,
            reply
        }),
        6 => (any::<usize>(), outcome, fate()).prop_map(|(which, outcome, told)| Event::End { which, outcome, told }),
        3 => (0_u64..700).prop_map(|millis| Event::Pass { millis }),
        1 => (700_u64..9_000).prop_map(|millis| Event::Pass { millis }),
        1 => (0..BOOKS, fate()).prop_map(|(book, told)| Event::GiveBack { book, told }),
        1 => Just(Event::Deliver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_replica_runs_more_than_it_has_room_for(events in prop::collection::vec(event(), 1..300)) {
        let mut world = World::new();
        for event in events {
            world.on(event);
            world.check()?;
        }
        while let Some(ended) = world.running.pop() {
            world.end(&ended, Outcome::Served, Fate::Arrives);
        }
        for book in 0..BOOKS {
            let releases = world.books[book].give_back_all(world.now);
            world.release(releases, Fate::Arrives);
        }
        world.check()?;
        // What lost messages left behind expires.
        world.now = world.now + TTL + Duration::from_millis(1);
        prop_assert_eq!(world.status().iter().map(|status| status.running).sum::<u32>(), 0);
        prop_assert!((0..BOOKS).all(|book| world.replicas.iter().all(|replica| world.books[book].held_at(replica).is_empty())));
    }
}

#[test]
fn few_requests_have_to_ask_while_there_is_room() {
    let mut world = World::new();
    let asked = |world: &World| world.permits;
    for _ in 0..2_000 {
        world.begin(0, 1, Tokens(10), Fate::Arrives);
        world.begin(0, 1, Tokens(9), Fate::Arrives);
        world.pass(Duration::from_millis(5));
        for _ in 0..2 {
            let ended = world.running.remove(0);
            world.end(&ended, Outcome::Served, Fate::Arrives);
        }
    }
    assert_eq!(world.running.len(), 0);
    assert!(asked(&world) <= 3, "{} of 4,000 asked", asked(&world));
}
