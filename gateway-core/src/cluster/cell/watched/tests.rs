use tidegate_virtual::Random;

use super::*;
use crate::cluster::breaker::{BreakerPolicy, BreakerStanding};
use crate::cluster::hot::HotDigest;
use crate::cluster::message::{Acquire, ClusterCommand, ClusterReply, Release, Releases, ReplicaStatus};
use crate::cluster::permit::{Capacity, Outcome, PermitId};
use crate::cluster::policy::{ClusterPolicy, PrefillPolicy};
use crate::cluster::prompt::PromptOutline;
use crate::cluster::watched::{request_digest, tenant_digest};
use crate::cluster::{HealthPolicy, Served};
use crate::ids::Tokens;

const BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 3,
    open: Duration::from_secs(5),
};

fn name(index: usize) -> ReplicaName {
    ReplicaName::from(format!("http://{index}.test").as_str())
}

/// A cluster's cell that has been asked once, and the time there in seconds.
struct Cluster {
    cell: ClusterCell,
    now: u64,
    requests: u64,
}

impl Cluster {
    fn of(replicas: usize) -> Self {
        let mut cluster = Self {
            cell: ClusterCell::default(),
            now: 1_000,
            requests: 0,
        };
        let policy = ClusterPolicy {
            replicas: (0..replicas).map(name).collect(),
            capacity: Capacity {
                requests: 10,
                kv_tokens: Tokens(1_000),
            },
            prefill: PrefillPolicy::default(),
            health: HealthPolicy::default(),
        };
        cluster.apply(ClusterCommand::Acquire(Acquire {
            permit: PermitId(1),
            kv_tokens: Tokens(1),
            spare: 0,
            policy: policy.into(),
            headroom_percent: 0,
            tried: Vec::new(),
            affinity: None,
            prompt: PromptOutline::default(),
            known_hot: HotDigest::default(),
            ttl: Duration::from_secs(9_999),
            queueing: None,
            explains: false,
            is_new: false,
        }));
        let release = Release::of_all(PermitId(1), None, Outcome::Served);
        cluster.apply(ClusterCommand::Release(Releases {
            releases: vec![release],
            ..Releases::of_served(Served::default(), BREAKER)
        }));
        cluster
    }

    fn apply(&mut self, command: ClusterCommand) -> ClusterReply {
        self.cell.apply(Timestamp::from_millis(self.now * 1_000), command)
    }

    /// A gateway tells of so many answers of a replica: sound ones, and faulty ones, each to a request of its own.
    fn tell(&mut self, replica: usize, sound: u64, faulty: u64) {
        self.tell_of("only", replica, sound, faulty);
    }

    /// The same of answers to that tenant.
    fn tell_of(&mut self, tenant: &str, replica: usize, sound: u64, faulty: u64) {
        let mut served = Served::default();
        let digest = tenant_digest(tenant);
        (0..sound).for_each(|_| served.watched.on_answer(&name(replica), digest, None));
        for _ in 0..faulty {
            self.requests += 1;
            let request = request_digest(tenant, &self.requests.to_be_bytes());
            served.watched.on_answer(&name(replica), digest, Some(request));
        }
        self.apply(ClusterCommand::Release(Releases::of_served(served, BREAKER)));
    }

    fn status(&mut self, replica: usize) -> ReplicaStatus {
        let ClusterReply::Status(replicas) = self.apply(ClusterCommand::Status) else {
            panic!("no status")
        };
        let found = replicas.into_iter().find(|status| status.replica == name(replica));
        found.unwrap_or_else(|| ReplicaStatus::idle(name(replica)))
    }

    fn is_available(&mut self, replica: usize) -> bool {
        self.status(replica).available
    }
}

#[test]
fn one_that_is_surely_worse_than_its_peers_is_left_alone_and_says_why() {
    let mut cluster = Cluster::of(4);
    (1..4).for_each(|peer| cluster.tell(peer, 150, 0));
    cluster.tell(0, 0, 4);
    assert!(cluster.is_available(0), "four are no evidence");
    cluster.tell(0, 0, 8);
    let status = cluster.status(0);
    assert_eq!((status.available, status.breaker), (false, BreakerStanding::Open));
    let expected = WatchedStatus {
        answers: 12,
        faulty: 12,
        left_alone_for: Some(LEFT_ALONE_FOR),
    };
    assert_eq!(status.watched, Some(expected));
    assert!((1..4).all(|peer| cluster.is_available(peer)));
}

#[test]
fn where_all_are_as_bad_or_there_are_no_peers_it_is_the_model() {
    let mut cluster = Cluster::of(4);
    for _ in 0..20 {
        (0..4).for_each(|replica| cluster.tell(replica, 5, 15));
    }
    assert!((0..4).all(|replica| cluster.is_available(replica)));
    let mut alone = Cluster::of(1);
    (0..20).for_each(|_| alone.tell(0, 0, 20));
    assert!(alone.is_available(0));
}

#[test]
fn a_request_that_is_asked_again_and_again_counts_once() {
    let mut cluster = Cluster::of(2);
    cluster.tell(1, 500, 0);
    for _ in 0..50 {
        cluster.requests = 0;
        cluster.tell(0, 0, 3);
    }
    assert_eq!(cluster.status(0).watched.map(|watched| watched.faulty), Some(3));
    assert!(cluster.is_available(0));
}

#[test]
fn it_is_tried_again_and_one_more_faulty_answer_is_enough_within_the_window() {
    let mut cluster = Cluster::of(4);
    (1..4).for_each(|peer| cluster.tell(peer, 150, 0));
    cluster.tell(0, 0, 20);
    cluster.now += 60;
    assert!(cluster.is_available(0));
    cluster.tell(0, 1, 0);
    assert!(cluster.is_available(0));
    // The probe was answered.
    cluster
        .cell
        .replicas
        .with_breaker(&name(0), |breaker| *breaker = Default::default());
    cluster.tell(0, 0, 1);
    assert!(!cluster.is_available(0));
    cluster.now += 600;
    cluster
        .cell
        .replicas
        .with_breaker(&name(0), |breaker| *breaker = Default::default());
    cluster.tell(0, 0, 1);
    assert!(cluster.is_available(0), "what was before the window counts no more");
    assert_eq!(cluster.status(0).watched.map(|watched| watched.answers), Some(1));
}

#[test]
fn no_more_than_a_quarter_is_left_alone_and_strangers_are_passed_over() {
    let mut cluster = Cluster::of(5);
    (2..5).for_each(|peer| cluster.tell(peer, 400, 0));
    cluster.tell(0, 0, 20);
    cluster.tell(1, 0, 20);
    assert_eq!((cluster.is_available(0), cluster.is_available(1)), (false, true));
    cluster.tell(9, 0, 20);
    assert_eq!(cluster.status(9).watched, None);
}

#[test]
fn the_last_ones_that_take_requests_are_not_left_alone_whatever_keeps_others_from_it() {
    let out = |cluster: &mut Cluster, replica: usize| {
        let until = Timestamp::from_millis((cluster.now + 3_600) * 1_000);
        cluster
            .cell
            .replicas
            .with_breaker(&name(replica), |breaker| breaker.open(until));
    };
    let mut dead = Cluster::of(2);
    dead.tell(1, 500, 0);
    out(&mut dead, 1);
    dead.tell(0, 0, 30);
    assert!(dead.is_available(0), "its peer is out already");
    let mut dying = Cluster::of(4);
    (1..4).for_each(|peer| dying.tell(peer, 150, 0));
    dying.tell(0, 0, 20);
    assert!(!dying.is_available(0));
    out(&mut dying, 1);
    assert!(dying.is_available(0), "too few others are left");
    assert_eq!(dying.status(0).watched.and_then(|watched| watched.left_alone_for), None);
}

#[test]
fn no_tenant_of_several_has_more_to_say_than_all_others_together() {
    let mut cluster = Cluster::of(4);
    (1..4).for_each(|peer| cluster.tell_of("sound", peer, 150, 0));
    cluster.tell_of("hostile", 0, 0, 60);
    assert!(cluster.is_available(0), "one tenant's requests may be such");
    cluster.tell_of("sound", 0, 0, 3);
    assert!(cluster.is_available(0), "three of others' are no evidence");
    cluster.tell_of("sound", 0, 0, 40);
    assert!(!cluster.is_available(0));
}

/// After how many of its own answers the first of four replicas is found worse, asked after each faulty one, of so many in
/// all; `None` where it never is.
fn found_after(rates: [f64; 4], answers: usize, seed: u64) -> Option<u64> {
    let mut random = Random::new(seed << 32);
    let mut watched = Watched::default();
    for request in 0..answers {
        let replica = request % 4;
        let mut told = AnswersOf::default();
        if random.share() < rates[replica] {
            told.faulty.push(request as u64);
        } else {
            told.sound = 1;
        }
        let record = watched.replicas.entry(name(replica)).or_default();
        let is_new = record.add(&told);
        if is_new && replica == 0 && watched.is_worse(&name(0), 4) {
            return Some(watched.replicas[&name(0)].answers);
        }
    }
    None
}

#[test]
fn a_replica_that_is_no_worse_than_so_is_not_found_however_often_it_is_asked() {
    // At the very bound, where alarms are likeliest: two thousand windows, of which a fifth may have one by the bound on each.
    for rates in [[0.05; 4], [0.3, 0.1, 0.1, 0.1], [0.03, 0.01, 0.01, 0.01]] {
        let alarms = (0..700)
            .filter(|seed| found_after(rates, 1_000, *seed).is_some())
            .count();
        assert_eq!(alarms, 0, "{rates:?}");
    }
}

/// The medians that docs/detection.md has in its table.
#[test]
fn a_replica_that_is_worse_is_found_soon() {
    for (rates, median) in [
        ([1.0, 0.0, 0.0, 0.0], 26),
        ([0.5, 0.01, 0.01, 0.01], 89),
        ([0.3, 0.02, 0.02, 0.02], 284),
    ] {
        let found = (0..51).map(|seed| found_after(rates, 8_000, seed).unwrap_or(u64::MAX));
        let mut found: Vec<_> = found.collect();
        found.sort_unstable();
        assert_eq!(found[25], median, "{rates:?}");
    }
}
