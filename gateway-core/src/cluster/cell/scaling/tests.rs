use std::sync::Arc;

use super::*;
use crate::cluster::breaker::BreakerPolicy;
use crate::cluster::cell::tests::say_signals;
use crate::cluster::drain::{DrainOrder, SetDrain};
use crate::cluster::hot::HotDigest;
use crate::cluster::message::{Acquire, ClusterCommand, ClusterReply, Evidence, Forgotten, Release, Releases};
use crate::cluster::permit::{Outcome, PermitId};
use crate::cluster::prompt::PromptOutline;
use crate::cluster::signals::EngineFigures;
use crate::cluster::{HealthPolicy, PrefillPolicy};
use crate::ids::Tokens;

const BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 1,
    open: Duration::from_secs(5),
};

const SCALING: ScalingPolicy = ScalingPolicy {
    min_replicas: 0,
    max_replicas: 4,
    target_percent: 100,
    cold_start: Duration::from_secs(120),
    scale_down_after: Duration::from_secs(60),
    step_up_percent: 100,
    step_down_percent: 100,
    ttft: None,
};

fn name(index: usize) -> ReplicaName {
    ReplicaName::from(format!("http://{index}.test").as_str())
}

fn policy() -> ClusterPolicy {
    ClusterPolicy {
        replicas: (0..4).map(name).collect(),
        capacity: Capacity {
            requests: 2,
            kv_tokens: Tokens(1_000),
        },
        prefill: PrefillPolicy::default(),
        health: HealthPolicy::default(),
    }
}

/// A cell, and the time there in seconds.
struct Cell {
    cell: ClusterCell,
    now: u64,
    asked: u64,
}

impl Cell {
    fn new() -> Self {
        Self {
            cell: ClusterCell::default(),
            now: 1_000,
            asked: 0,
        }
    }

    fn apply(&mut self, command: ClusterCommand) -> ClusterReply {
        self.cell.apply(Timestamp::from_millis(self.now * 1_000), command)
    }

    /// A request asks for a place, for the first time or again.
    fn ask(&mut self, is_new: bool) -> Option<ReplicaName> {
        self.asked += 1;
        let acquire = Acquire {
            permit: PermitId(self.asked),
            kv_tokens: Tokens(300),
            spare: 0,
            policy: policy().into(),
            headroom_percent: 0,
            tried: Vec::new(),
            affinity: None,
            prompt: PromptOutline::of_tokens(Tokens(200)),
            known_hot: HotDigest::default(),
            ttl: Duration::from_secs(3_600),
            queueing: None,
            is_new,
            explains: false,
        };
        let reply = self.apply(ClusterCommand::Acquire(acquire));
        if let ClusterReply::Granted(grant) = reply {
            Some(grant.replica)
        } else {
            None
        }
    }

    fn tell(&mut self, told: Releases) {
        assert_eq!(self.apply(ClusterCommand::Release(told)), ClusterReply::Done);
    }

    fn absent(&mut self, index: usize, evidence: Evidence) {
        let replica = name(index);
        self.tell(Releases::of_forgotten(Forgotten { replica, evidence }, BREAKER));
    }

    fn served(&mut self, index: usize) {
        let releases = vec![Release::of_all(PermitId(0), Some(name(index)), Outcome::Served)];
        let served = Served::default();
        self.tell(Releases {
            releases,
            ..Releases::of_served(served, BREAKER)
        });
    }

    fn scale(&mut self) -> Scale {
        let read = ReadScale {
            policy: Arc::new(policy()),
            scaling: SCALING,
        };
        let ClusterReply::Scale(scale) = self.apply(ClusterCommand::Scale(read)) else {
            panic!("an advice");
        };
        *scale
    }
}

#[test]
fn each_replica_is_counted_once_as_it_stands() {
    let mut cell = Cell::new();
    assert_eq!(cell.scale().figures.replicas.unknown, 4);
    cell.ask(true);
    (0..4).for_each(|index| cell.served(index));
    cell.absent(1, Evidence::Unreachable);
    cell.absent(2, Evidence::Loading);
    let order = DrainOrder {
        deadline: Duration::from_secs(900),
        reason: None,
        ttl: Duration::from_secs(30),
    };
    cell.apply(ClusterCommand::Drain(SetDrain {
        replica: name(3),
        order: Some(order),
    }));
    let expected = ReplicaCounts {
        serving: 1,
        loading: 1,
        standby: 2,
        ..ReplicaCounts::default()
    };
    assert_eq!(cell.scale().figures.replicas, expected);
    cell.served(1);
    assert_eq!(cell.scale().figures.replicas.serving, 2);
}

#[test]
fn engines_that_tell_their_figures_no_more_stand_by() {
    let mut cell = Cell::new();
    cell.ask(true);
    let told = |cell: &mut Cell, read: &[usize]| {
        let read = read.iter().map(|index| (name(*index), EngineFigures::default()));
        say_signals(|command| cell.apply(command), read.collect());
    };
    told(&mut cell, &[1, 2]);
    assert_eq!(cell.scale().figures.replicas.serving, 3, "one has a request");
    cell.now += 10;
    told(&mut cell, &[2]);
    let counted = cell.scale().figures.replicas;
    assert_eq!((counted.serving, counted.standby, counted.unknown), (2, 1, 1));
}

#[test]
fn a_request_comes_once_however_often_it_asks_and_under_whichever_permit() {
    let mut cell = Cell::new();
    for _ in 0..30 {
        cell.ask(true);
        cell.ask(false);
        cell.tell(Releases::of_served(
            Served {
                arrived: Work::of_one(100, Tokens(300)),
                ..Served::default()
            },
            BREAKER,
        ));
        cell.now += 10;
    }
    let arrival = cell.scale().figures.arrival;
    assert!((arrival.requests_per_s - 0.2).abs() < 0.01, "{arrival:?}");
    assert!((arrival.uncached_tokens_per_s - 30.0).abs() < 1.0, "{arrival:?}");
    assert!((arrival.tokens_per_s - 60.0).abs() < 1.0, "{arrival:?}");
}

#[test]
fn first_tokens_count_for_a_minute_and_speeds_follow_answers() {
    let mut cell = Cell::new();
    let mut served = Served::default();
    (1..=100).for_each(|index| served.first_tokens.on(Duration::from_millis(index * 10)));
    served.ended.on_answer(50, Duration::from_secs(2));
    cell.tell(Releases::of_served(served.clone(), BREAKER));
    cell.now += 30;
    cell.tell(Releases::of_served(served, BREAKER));
    let figures = cell.scale().figures;
    assert_eq!(figures.ttft_streams, 200);
    let p95 = figures.ttft_p95.expect("streams").as_secs_f64();
    assert!((p95 / 0.95 - 1.0).abs() < 0.03, "{p95}");
    assert_eq!((figures.decode_tokens_per_s, figures.output_tokens), (25.0, 50.0));
    cell.now += 45;
    assert_eq!(cell.scale().figures.ttft_streams, 100);
    cell.now += 60;
    assert_eq!(cell.scale().figures.ttft_p95, None);
}

#[test]
fn how_long_replicas_take_to_come_is_learned_and_outlives_a_restart() {
    let mut cell = Cell::new();
    (0..4).for_each(|index| {
        cell.ask(false);
        cell.absent(index, Evidence::Unreachable);
    });
    let ended = (1..=cell.asked).map(|asked| Release::of_all(PermitId(asked), None, Outcome::Unknown));
    cell.tell(Releases {
        releases: ended.collect(),
        ..Releases::of_served(Served::default(), BREAKER)
    });
    assert_eq!(cell.scale().advice.desired, 0);
    cell.now += 100;
    assert_eq!(cell.scale().figures.cold_start, SCALING.cold_start);
    // As many as two replicas run.
    (0..4).for_each(|_| drop(cell.ask(true)));
    let advised = cell.scale().advice.desired;
    assert!(advised > 0, "{advised}");
    cell.now += 45;
    cell.served(0);
    cell.served(1);
    cell.scale();
    let learned = cell.scale().figures.cold_start;
    assert_eq!(learned, Duration::from_secs(45));
    let mut anew = Cell {
        cell: cell.cell.lasting(),
        now: cell.now + 1_000,
        asked: 0,
    };
    let scale = anew.scale();
    assert_eq!(scale.figures.cold_start, learned);
    assert_eq!(scale.advice.desired, advised, "nothing says yet that fewer are needed");
}
