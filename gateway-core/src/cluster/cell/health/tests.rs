use super::*;
use crate::cluster::breaker::BreakerPolicy;
use crate::cluster::cell::tests::say_signals;
use crate::cluster::choice::ChoiceReason;
use crate::cluster::health::HealthPolicy;
use crate::cluster::hot::HotDigest;
use crate::cluster::message::{
    Acquire, ClusterCommand, ClusterReply, Evidence, Forgotten, Grant, Prefilled, Release, Releases, ReplicaStatus,
};
use crate::cluster::permit::{Outcome, PermitId};
use crate::cluster::policy::{ClusterPolicy, PrefillPolicy};
use crate::cluster::prompt::PromptOutline;
use crate::cluster::signals::{EngineFigures, KvUsed};
use crate::ids::Tokens;

const BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 1,
    open: Duration::from_secs(5),
};

/// A cluster of replicas that have room for ten requests each, and compute 10,000 tokens a second.
struct Cluster {
    cell: ClusterCell,
    replicas: &'static [&'static str],
    now: u64,
    permits: u64,
}

impl Cluster {
    fn new(replicas: &'static [&'static str]) -> Self {
        Self {
            cell: ClusterCell::default(),
            replicas,
            now: 0,
            permits: 0,
        }
    }

    fn apply(&mut self, command: ClusterCommand) -> ClusterReply {
        self.cell.apply(Timestamp::from_millis(1_000_000 + self.now), command)
    }

    /// Asks for a prompt of so many tokens. Gives the permit, where, and why there.
    fn ask(&mut self, prompt: u64) -> Option<(PermitId, ReplicaName, ChoiceReason)> {
        self.permits += 1;
        let permit = PermitId(self.permits);
        let acquire = Acquire {
            permit,
            kv_tokens: Tokens(prompt),
            spare: 0,
            policy: ClusterPolicy {
                replicas: self.replicas.iter().map(|name| ReplicaName::from(*name)).collect(),
                capacity: Capacity {
                    requests: 10,
                    kv_tokens: Tokens(10_000_000),
                },
                prefill: PrefillPolicy::default(),
                health: HealthPolicy::default(),
            }
            .into(),
            headroom_percent: 0,
            tried: Vec::new(),
            affinity: None,
            prompt: PromptOutline::of_tokens(Tokens(prompt)),
            known_hot: HotDigest::default(),
            ttl: Duration::from_secs(600),
            queueing: None,
            explains: false,
            is_new: false,
        };
        let ClusterReply::Granted(Grant { replica, choice, .. }) = self.apply(ClusterCommand::Acquire(acquire)) else {
            return None;
        };
        Some((permit, replica, choice.expect("it is told")))
    }

    fn tell(&mut self, releases: Vec<Release>, prefilled: Vec<Prefilled>, forgotten: Vec<Forgotten>) {
        let told = Releases {
            releases,
            breaker: BREAKER,
            prefilled,
            forgotten,
            served: Default::default(),
        };
        self.apply(ClusterCommand::Release(told));
    }

    fn end(&mut self, permit: PermitId, replica: &ReplicaName, outcome: Outcome) {
        self.tell(
            vec![Release::of_all(permit, Some(replica.clone()), outcome)],
            vec![],
            vec![],
        );
    }

    fn is_available(&mut self, replica: &ReplicaName) -> bool {
        let ClusterReply::Status(status) = self.apply(ClusterCommand::Status) else {
            panic!("another reply")
        };
        let known = status.into_iter().find(|status| status.replica == *replica);
        known.is_none_or(|ReplicaStatus { available, .. }| available)
    }

    /// Its engine says that so many thousandths of its kv_cache are taken.
    fn say(&mut self, replica: &ReplicaName, kv_thousandths: u64) {
        let figures = EngineFigures {
            running: 1,
            waiting: 0,
            kv_used: KvUsed::of_share(kv_thousandths as f64 / 1_000.0),
        };
        say_signals(|command| self.apply(command), vec![(replica.clone(), figures)]);
    }

    /// How many requests more find room.
    fn room_left(&mut self) -> usize {
        (0..100).take_while(|_| self.ask(1).is_some()).count()
    }

    /// A request for so much is sent somewhere, and its first event comes after as long as its replica takes.
    fn serve(&mut self, prompt: u64, takes: impl Fn(&ReplicaName) -> u64) {
        let (permit, replica, _) = self.ask(prompt).expect("there is room");
        let took = takes(&replica);
        self.now += took;
        let prefilled = Prefilled {
            permit,
            replica: replica.clone(),
            took: Some(Duration::from_millis(took)),
        };
        self.tell(vec![], vec![prefilled], vec![]);
        self.end(permit, &replica, Outcome::Served);
    }
}

#[test]
fn a_replica_of_which_nothing_is_heard_gets_nothing_more() {
    for told in [false, true] {
        let mut cluster = Cluster::new(&["http://a", "http://b"]);
        let (permit, replica, _) = cluster.ask(10_000).expect("there is room");
        cluster.now = 30_000;
        if told {
            cluster.tell(vec![Release::running(permit, replica.clone())], vec![], vec![]);
        }
        cluster.now = 60_500;
        assert!(cluster.is_available(&replica), "its prompt takes a second");
        cluster.now = 61_500;
        assert_eq!(cluster.is_available(&replica), told);
        for _ in 0..5 {
            let (_, other, _) = cluster.ask(10).expect("there is room");
            assert!(told || other != replica);
        }
    }
}

#[test]
fn a_replica_whose_engine_says_that_it_moves_is_not_taken_for_wedged() {
    // What its engine says last changed in this second; one that says nothing for a minute stands still.
    for moves_until in [0, 40, 150] {
        let mut cluster = Cluster::new(&["http://a", "http://b"]);
        let (_, replica, _) = cluster.ask(10).expect("there is room");
        for second in 0..150 {
            cluster.now = 1_000 * second;
            cluster.say(&replica, second.min(moves_until));
            let is_wedged = second > 60 && second >= moves_until + 60;
            assert_eq!(!cluster.is_available(&replica), is_wedged, "{moves_until} {second}");
            if is_wedged {
                break;
            }
        }
    }
}

#[test]
fn a_replica_that_serves_at_whatever_pace_is_not_taken_for_wedged() {
    let mut cluster = Cluster::new(&["http://a"]);
    let mut last = None;
    for _ in 0..20 {
        let (permit, replica, reason) = cluster.ask(10).expect("there is room");
        assert_ne!(reason, ChoiceReason::Degraded);
        if let Some((before, at)) = last.replace((permit, replica)) {
            cluster.end(before, &at, Outcome::Served);
        }
        cluster.now += 59_000;
    }
}

#[test]
fn a_replica_to_which_nothing_is_sent_any_more_is_not_waited_for() {
    for outcome in [Outcome::Failed, Outcome::Unknown] {
        let mut cluster = Cluster::new(&["http://a", "http://b"]);
        let (permit, replica, _) = cluster.ask(10).expect("there is room");
        cluster.now = 2_000;
        cluster.end(permit, &replica, outcome);
        cluster.now = 90_000;
        assert!(cluster.is_available(&replica), "{outcome:?}");
    }
    let mut cluster = Cluster::new(&["http://a"]);
    let (_, replica, _) = cluster.ask(10).expect("there is room");
    // Its gateway is gone, and its permit has expired.
    for (now, is_available) in [(61_000, false), (600_001, true), (700_000, true)] {
        cluster.now = now;
        assert_eq!(cluster.is_available(&replica), is_available, "{now}");
    }
}

#[test]
fn one_whose_first_events_come_far_too_late_is_left_alone_where_others_do_not() {
    let slow = |replica: &ReplicaName| if replica.as_str() == "http://a" { 9_000 } else { 1_000 };
    let mut cluster = Cluster::new(&["http://a", "http://b"]);
    for _ in 0..8 {
        cluster.serve(10_000, slow);
    }
    assert!(!cluster.is_available(&"http://a".into()));
    assert!(cluster.is_available(&"http://b".into()));
    cluster.now += 5_000;
    assert!(cluster.is_available(&"http://a".into()), "it may be tried");
    while cluster.is_available(&"http://a".into()) {
        assert!(cluster.permits < 20, "one that is as slow again is enough");
        cluster.serve(10_000, slow);
    }
    let mut all = Cluster::new(&["http://a", "http://b"]);
    for _ in 0..12 {
        all.serve(10_000, |_| 9_000);
    }
    assert!(all.is_available(&"http://a".into()) && all.is_available(&"http://b".into()));
}

#[test]
fn one_that_was_gone_has_its_room_by_and_by() {
    for (after, room) in [(0, 1), (15_000, 5), (29_000, 9), (30_000, 10)] {
        let mut cluster = Cluster::new(&["http://a"]);
        let (permit, replica, _) = cluster.ask(10).expect("there is room");
        let gone = Forgotten {
            replica: replica.clone(),
            evidence: Evidence::Unreachable,
        };
        cluster.tell(vec![], vec![], vec![gone]);
        cluster.end(permit, &replica, Outcome::Failed);
        cluster.now = 5_000;
        let (probe, ..) = cluster.ask(10).expect("as a probe");
        cluster.end(probe, &replica, Outcome::Served);
        cluster.now += after;
        assert_eq!(cluster.room_left(), room, "after {after} ms");
    }
    let mut failed = Cluster::new(&["http://a"]);
    let (permit, replica, _) = failed.ask(10).expect("there is room");
    failed.end(permit, &replica, Outcome::Failed);
    failed.now = 5_000;
    let (probe, ..) = failed.ask(10).expect("as a probe");
    failed.end(probe, &replica, Outcome::Served);
    assert_eq!(failed.room_left(), 10, "its engine was there");
}

#[test]
fn one_that_is_new_has_its_room_by_and_by() {
    let mut cluster = Cluster::new(&["http://a"]);
    assert_eq!(cluster.room_left(), 10);
    cluster.replicas = &["http://a", "http://b"];
    assert_eq!(cluster.room_left(), 1);
    cluster.now = 30_000;
    assert_eq!(cluster.room_left(), 9);
}

#[test]
fn where_all_are_out_the_least_bad_one_is_tried_by_one_at_a_time() {
    let mut cluster = Cluster::new(&["http://a", "http://b"]);
    let [first, second] = [1, 2].map(|_| cluster.ask(100).expect("there is room"));
    assert_ne!(first.1, second.1);
    cluster.end(first.0, &first.1, Outcome::Failed);
    cluster.now = 500;
    cluster.end(second.0, &second.1, Outcome::Failed);
    assert_eq!(cluster.ask(10), None, "it was tried half a second ago");
    cluster.now = 1_000;
    let (probe, at, reason) = cluster.ask(10).expect("the one that failed first");
    assert_eq!((&at, reason), (&first.1, ChoiceReason::Degraded));
    cluster.now = 1_600;
    assert_eq!(cluster.ask(10), None, "one at a time");
    cluster.end(probe, &at, Outcome::Failed);
    let (probe, at, _) = cluster.ask(10).expect("the other one");
    assert_eq!(at, second.1);
    cluster.end(probe, &at, Outcome::Served);
    let (_, at, reason) = cluster.ask(10).expect("it is well");
    assert_eq!(at, second.1);
    assert_ne!(reason, ChoiceReason::Degraded);
}

/// Replicas fail, vanish and come back, holders die, messages come twice. Nothing is ever sent where nothing may be.
#[test]
fn nothing_goes_to_one_that_is_out_in_a_million_operations() {
    let mut cluster = Cluster::new(&["http://a", "http://b", "http://c"]);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    };
    let mut running: Vec<(PermitId, ReplicaName)> = Vec::new();
    let (mut granted, mut degraded) = (0, 0);
    for _ in 0..1_000_000 {
        cluster.now += below(400);
        if below(2) == 0 {
            let names = ["http://a", "http://b", "http://c"].map(ReplicaName::from);
            let available = names.each_ref().map(|name| cluster.is_available(name));
            let Some((permit, replica, reason)) = cluster.ask(1 + below(3_000)) else {
                continue;
            };
            let is_out = names
                .iter()
                .zip(available)
                .any(|(name, available)| *name == replica && !available);
            assert_eq!(is_out, reason == ChoiceReason::Degraded, "{replica} {reason:?}");
            assert!(!is_out || available == [false; 3]);
            (granted, degraded) = (granted + 1, degraded + u32::from(is_out));
            running.push((permit, replica));
        } else if !running.is_empty() {
            let index = usize::try_from(below(running.len() as u64)).unwrap();
            let (permit, replica) = running.swap_remove(index);
            let outcome = match below(8) {
                0..3 => Outcome::Failed,
                3 => Outcome::Unknown,
                _ => Outcome::Served,
            };
            if below(20) == 0 {
                continue;
            }
            for _ in 0..=below(2) {
                if outcome == Outcome::Failed && below(2) == 0 {
                    let gone = Forgotten {
                        replica: replica.clone(),
                        evidence: Evidence::Unreachable,
                    };
                    cluster.tell(vec![], vec![], vec![gone]);
                }
                cluster.end(permit, &replica, outcome);
            }
        }
    }
    assert!(granted > 5_000 && degraded > 200, "{granted} {degraded}");
    cluster.now += 3_600_000;
    let ClusterReply::Status(status) = cluster.apply(ClusterCommand::Status) else {
        panic!("another reply")
    };
    assert!(status.iter().all(|status| status.running == 0), "{status:?}");
}
