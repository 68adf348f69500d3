mod entering;
mod leaks;
mod reload;

use std::collections::BTreeMap;

use super::*;
use crate::cluster::breaker::BreakerPolicy;
use crate::cluster::health::HealthPolicy;
use crate::cluster::hot::HotDigest;
use crate::cluster::message::{ClusterCommand, Grant, Release, Releases, Renew};
use crate::cluster::permit::{HeldPermit, Outcome};
use crate::cluster::policy::{ClusterPolicy, PrefillPolicy};
use crate::cluster::prompt::PromptOutline;
use crate::cluster::waiting::{QueueBounds, QueueStatus, Queueing};
use crate::ids::ReplicaName;

const TTL: Duration = Duration::from_secs(30);
const HIGH: u8 = 0;
const NORMAL: u8 = 1;
const LOW: u8 = 2;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

/// A cluster whose replicas have room for so many requests each.
struct Cluster {
    cell: ClusterCell,
    replicas: usize,
    requests: u32,
    kv_tokens: u64,
    now: u64,
    bounds: QueueBounds,
}

/// What somebody asks for.
#[derive(Clone, Copy)]
struct Ask {
    permit: u64,
    tenant: u64,
    session: u64,
    priority: u8,
    prompt: u64,
    patience_ms: u64,
    waited_ms: u64,
    headroom_percent: u8,
}

fn ask(permit: u64) -> Ask {
    Ask {
        permit,
        tenant: 1,
        session: permit,
        priority: NORMAL,
        prompt: 100,
        patience_ms: 60_000,
        waited_ms: 0,
        headroom_percent: 0,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Granted,
    Queued,
    Refused(Option<Dropped>),
}

impl Cluster {
    fn new(replicas: usize, requests: u32) -> Self {
        Self {
            cell: ClusterCell::default(),
            replicas,
            requests,
            kv_tokens: 1_000_000,
            now: 0,
            bounds: QueueBounds {
                requests: 1_000,
                bytes: 1 << 30,
            },
        }
    }

    fn acquire(&self, ask: Ask) -> Acquire {
        let Ask {
            permit,
            tenant,
            session,
            priority,
            prompt,
            patience_ms,
            waited_ms,
            headroom_percent,
        } = ask;
        let names = ["http://a", "http://b", "http://c"];
        Acquire {
            permit: PermitId(permit),
            kv_tokens: Tokens(prompt),
            spare: 0,
            policy: ClusterPolicy {
                replicas: names[..self.replicas]
                    .iter()
                    .map(|name| ReplicaName::from(*name))
                    .collect(),
                capacity: Capacity {
                    requests: self.requests,
                    kv_tokens: Tokens(self.kv_tokens),
                },
                prefill: PrefillPolicy::default(),
                // Where all are out, none is tried before its breaker lets it.
                health: HealthPolicy {
                    open: Duration::ZERO,
                    ..HealthPolicy::default()
                },
            }
            .into(),
            headroom_percent,
            tried: Vec::new(),
            affinity: None,
            prompt: PromptOutline::of_tokens(Tokens(prompt)),
            known_hot: HotDigest::default(),
            ttl: TTL,
            queueing: Some(Queueing {
                tenant,
                session,
                priority,
                bytes: 1_000,
                waited: Duration::from_millis(waited_ms),
                patience: Duration::from_millis(patience_ms),
                bounds: self.bounds,
                may_be_held: false,
            }),
            explains: false,
            is_new: false,
        }
    }

    fn reply(&mut self, ask: Ask) -> ClusterReply {
        let command = ClusterCommand::Acquire(self.acquire(ask));
        self.cell.apply(at(self.now), command)
    }

    fn say(&mut self, ask: Ask) -> Said {
        match self.reply(ask) {
            ClusterReply::Granted(_) => Said::Granted,
            ClusterReply::Queued(_) => Said::Queued,
            ClusterReply::Refused(refusal) => Said::Refused(refusal.dropped),
            other @ (ClusterReply::Extended(_)
            | ClusterReply::Done
            | ClusterReply::Status(_)
            | ClusterReply::Queue(_)
            | ClusterReply::DrainSet(_)
            | ClusterReply::PollTurn(_)
            | ClusterReply::Scale(_)
            | ClusterReply::PolicyUnknown) => panic!("{other:?}"),
        }
    }

    fn release(&mut self, permit: u64) {
        let release = Release::of_all(PermitId(permit), None, Outcome::Served);
        self.tell(vec![release]);
    }

    fn tell(&mut self, releases: Vec<Release>) {
        let releases = Releases {
            releases,
            breaker: BreakerPolicy {
                failures: 1,
                open: Duration::from_secs(5),
            },
            prefilled: Vec::new(),
            forgotten: Vec::new(),
            served: Default::default(),
        };
        self.cell.apply(at(self.now), ClusterCommand::Release(releases));
    }

    fn turns(&self) -> Vec<u64> {
        let turns = self.cell.turns(at(self.now)).into_iter();
        turns.map(|PermitId(permit)| permit).collect()
    }

    fn status(&mut self) -> QueueStatus {
        let ClusterReply::Queue(status) = self.cell.apply(at(self.now), ClusterCommand::Queue) else {
            panic!("another reply")
        };
        status
    }

    /// In which order those that wait go, where one place becomes free after the other.
    fn drain(&mut self, asks: &[Ask], mut running: u64) -> Vec<u64> {
        let mut order = Vec::new();
        loop {
            self.now += 1;
            self.release(running);
            let turns = self.turns();
            let Some(next) = asks.iter().find(|ask| turns.first() == Some(&ask.permit)) else {
                return order;
            };
            assert_eq!(self.say(*next), Said::Granted, "{}", next.permit);
            order.push(next.permit);
            running = next.permit;
        }
    }
}

/// One place, which is taken, and these wait for it.
fn waiting(asks: &[Ask]) -> Cluster {
    let mut cluster = Cluster::new(1, 1);
    assert_eq!(cluster.say(ask(0)), Said::Granted);
    for ask in asks {
        assert_eq!(cluster.say(*ask), Said::Queued, "{}", ask.permit);
    }
    cluster
}

#[test]
fn turns_come_by_priority_then_tenant_then_session() {
    let of = |permit, priority, tenant, session| Ask {
        priority,
        tenant,
        session,
        ..ask(permit)
    };
    for (asks, expected, why) in [
        (vec![ask(1), ask(2), ask(3)], vec![1, 2, 3], "as they came"),
        (
            vec![of(1, LOW, 1, 1), of(2, NORMAL, 1, 2), of(3, HIGH, 1, 3)],
            vec![3, 2, 1],
            "by priority",
        ),
        (
            vec![
                of(1, NORMAL, 1, 1),
                of(2, NORMAL, 1, 2),
                of(3, NORMAL, 1, 3),
                of(4, NORMAL, 2, 4),
            ],
            vec![1, 4, 2, 3],
            "tenants in turn",
        ),
        (
            vec![
                of(1, NORMAL, 1, 7),
                of(2, NORMAL, 1, 7),
                of(3, NORMAL, 1, 7),
                of(4, NORMAL, 1, 8),
            ],
            vec![1, 4, 2, 3],
            "sessions of a tenant in turn",
        ),
        (
            vec![
                Ask {
                    patience_ms: 9_000,
                    ..of(1, NORMAL, 1, 7)
                },
                Ask {
                    patience_ms: 5_000,
                    ..of(2, NORMAL, 1, 7)
                },
            ],
            vec![2, 1],
            "in a session by deadline",
        ),
    ] {
        let mut cluster = waiting(&asks);
        assert_eq!(cluster.drain(&asks, 0), expected, "{why}");
        assert_eq!(cluster.status().requests, 0, "{why}");
    }
}

#[test]
fn a_newcomer_does_not_overtake_whoever_waits() {
    let mut cluster = waiting(&[ask(1)]);
    cluster.release(0);
    assert_eq!(cluster.turns(), [1]);
    assert_eq!(cluster.say(ask(2)), Said::Queued);
    let at_once = Ask {
        patience_ms: 0,
        ..ask(3)
    };
    assert_eq!(cluster.say(at_once), Said::Refused(None), "who would not wait neither");
    let mut of_before = cluster.acquire(ask(4));
    of_before.queueing = None;
    let reply = cluster.cell.apply(at(0), ClusterCommand::Acquire(of_before));
    assert!(matches!(reply, ClusterReply::Refused(_)), "nor who knows of no waiting");
    let high = Ask {
        priority: HIGH,
        ..ask(5)
    };
    assert_eq!(cluster.say(high), Said::Granted, "but a higher priority");
    assert_eq!(cluster.say(ask(1)), Said::Queued);
    assert_eq!(cluster.status().requests, 2);
}

#[test]
fn what_fits_nowhere_closes_one_replica_and_goes_in_the_end() {
    let mut cluster = Cluster::new(2, 8);
    cluster.kv_tokens = 1_000;
    let of = |permit, prompt| Ask { prompt, ..ask(permit) };
    for (permit, prompt) in [(1, 600), (2, 500)] {
        assert_eq!(cluster.say(of(permit, prompt)), Said::Granted);
    }
    assert_eq!(cluster.say(of(3, 900)), Said::Queued);
    for permit in 4..8 {
        assert_eq!(
            cluster.say(of(permit, 100)),
            Said::Granted,
            "the fuller one is open to it"
        );
    }
    assert_eq!(cluster.say(of(8, 100)), Said::Queued, "what the other has left is kept");
    cluster.release(2);
    assert_eq!(cluster.turns(), [3, 8]);
    assert_eq!(cluster.say(of(3, 900)), Said::Granted);
}

#[test]
fn no_priority_starves() {
    let mut cluster = Cluster::new(1, 1);
    assert_eq!(cluster.say(ask(0)), Said::Granted);
    // Less than the whole of one place is nothing: it goes by the room of those before it.
    let low = Ask {
        priority: LOW,
        headroom_percent: 50,
        ..ask(1)
    };
    assert_eq!(cluster.say(low), Said::Queued);
    let mut running = 0;
    for permit in 10..30 {
        for priority in [HIGH, NORMAL] {
            let number = permit * 10 + u64::from(priority);
            cluster.say(Ask {
                priority,
                ..ask(number)
            });
        }
        cluster.now += 100;
        cluster.say(low);
        cluster.release(running);
        running = *cluster.turns().first().expect("somebody waits");
        let next = match running {
            1 => low,
            _ => Ask {
                priority: u8::try_from(running % 10).unwrap(),
                ..ask(running)
            },
        };
        assert_eq!(cluster.say(next), Said::Granted);
        if running == 1 {
            assert!(permit <= 19, "after eight of higher priority");
            return;
        }
    }
    panic!("it starved");
}

#[test]
fn tenants_get_alike_whatever_the_size_of_their_prompts() {
    let mut cluster = Cluster::new(1, 1);
    assert_eq!(cluster.say(ask(0)), Said::Granted);
    let mut next = 1;
    let mut of = BTreeMap::new();
    let mut got = BTreeMap::<u64, u64>::new();
    let mut running = 0;
    for round in 0..20_000_u64 {
        // Both have always something that waits.
        while of.len() < 12 {
            let tenant = next % 2;
            let prompt = if tenant == 0 { 300 } else { 30_000 };
            let asked = Ask {
                tenant,
                prompt,
                ..ask(next)
            };
            assert_eq!(cluster.say(asked), Said::Queued);
            of.insert(next, asked);
            next += 1;
            let waiting_of = of.values().filter(|ask| ask.tenant == tenant).count();
            if waiting_of > 6 {
                // Only what was served is replaced.
                cluster.release(next - 1);
                of.remove(&(next - 1));
            }
        }
        cluster.now += 1;
        if round % 100 == 0 {
            for asked in of.values() {
                cluster.say(*asked);
            }
        }
        cluster.release(running);
        running = cluster.turns()[0];
        let asked = of.remove(&running).expect("it waits");
        assert_eq!(cluster.say(asked), Said::Granted);
        *got.entry(asked.tenant).or_default() += asked.prompt;
    }
    let share = got[&0] as f64 / (got[&0] + got[&1]) as f64;
    assert!((0.45..=0.55).contains(&share), "{got:?}");
}

#[test]
fn the_bounds_hold_and_a_higher_priority_takes_the_place_of_a_lower_one() {
    let mut cluster = waiting(&[]);
    cluster.bounds.requests = 4;
    let of = |permit, priority| Ask {
        priority,
        ..ask(permit)
    };
    // None of them is shed by its name.
    for permit in [999, 1_999, 2_999] {
        assert_eq!(cluster.say(of(permit, NORMAL)), Said::Queued);
    }
    assert_eq!(cluster.say(of(4, HIGH)), Said::Queued);
    assert_eq!(cluster.say(of(5, NORMAL)), Said::Refused(Some(Dropped::QueueFull)));
    assert_eq!(cluster.say(of(6, HIGH)), Said::Queued);
    assert_eq!(cluster.turns(), [2_999], "who is to hear of it");
    assert_eq!(cluster.status().requests, 4);
    assert_eq!(cluster.say(of(2_999, NORMAL)), Said::Refused(Some(Dropped::Evicted)));
    cluster.bounds.bytes = 4_500;
    cluster.bounds.requests = 100;
    assert_eq!(
        cluster.say(of(7, NORMAL)),
        Said::Refused(Some(Dropped::QueueFull)),
        "bytes"
    );
    cluster.bounds.requests = 0;
    let mut none = waiting(&[]);
    none.bounds.requests = 0;
    assert_eq!(none.say(of(1, HIGH)), Said::Refused(Some(Dropped::QueueFull)));
}

#[test]
fn who_would_wait_too_long_does_not_begin_to() {
    let mut cluster = Cluster::new(1, 4);
    for permit in 0..4 {
        assert_eq!(cluster.say(ask(permit)), Said::Granted);
    }
    for permit in 4..10 {
        for waiting in permit..14 {
            assert_eq!(cluster.say(ask(waiting)), Said::Queued);
        }
        cluster.now += 1_000;
        cluster.release(permit - 4);
        assert_eq!(cluster.say(ask(permit)), Said::Granted);
    }
    let patient = |permit, patience_ms| Ask {
        patience_ms,
        ..ask(permit)
    };
    let expected = |reply| {
        let ClusterReply::Queued(queued) = reply else {
            panic!("{reply:?}")
        };
        (queued.expected, queued.again_in)
    };
    let (first, again_in) = expected(cluster.reply(patient(20, 60_000)));
    assert!((3_000..9_000).contains(&first.as_millis()), "{first:?}");
    assert!((20..=250).contains(&again_in.as_millis()), "{again_in:?}");
    let ms = u64::try_from(first.as_millis()).unwrap();
    assert_eq!(cluster.say(patient(21, ms)), Said::Refused(Some(Dropped::Deadline)));
    let (second, _) = expected(cluster.reply(patient(22, 3 * ms)));
    assert!(second > first, "{second:?}");
    let over = Ask {
        waited_ms: 5_000,
        ..patient(20, 0)
    };
    assert_eq!(
        cluster.say(over),
        Said::Refused(Some(Dropped::Deadline)),
        "its time is over"
    );
}

#[test]
fn replicas_that_have_failed_are_waited_for_where_they_may_be_tried_in_time() {
    let mut cluster = Cluster::new(1, 1);
    assert_eq!(cluster.say(ask(0)), Said::Granted);
    cluster.tell(vec![Release::of_all(PermitId(0), None, Outcome::Failed)]);
    let impatient = Ask {
        patience_ms: 4_000,
        ..ask(1)
    };
    assert_eq!(cluster.say(impatient), Said::Refused(Some(Dropped::Deadline)));
    let ClusterReply::Queued(queued) = cluster.reply(ask(2)) else {
        panic!("it waits")
    };
    assert!(queued.expected >= Duration::from_secs(5));
    for (now, turns) in [(2_000, vec![]), (4_900, vec![]), (5_000, vec![2])] {
        cluster.now = now;
        cluster.say(ask(3));
        if now < 5_000 {
            assert_eq!(cluster.say(ask(2)), Said::Queued);
        }
        assert_eq!(cluster.turns(), turns, "{now}");
    }
    assert_eq!(cluster.say(ask(2)), Said::Granted, "as a probe");
}

/// Each try frees a place, and serves nobody: a replica that comes back is not that slow.
#[test]
fn the_pace_of_failing_tries_sends_nobody_away() {
    let mut cluster = Cluster::new(1, 1);
    for permit in 0..8 {
        assert_eq!(cluster.say(ask(permit)), Said::Granted, "{permit}");
        for waiting in 100..120 {
            assert_eq!(cluster.say(ask(waiting)), Said::Queued);
        }
        cluster.tell(vec![Release::of_all(PermitId(permit), None, Outcome::Failed)]);
        (100..120).for_each(|waiting| cluster.tell(vec![Release::of_all(PermitId(waiting), None, Outcome::Unknown)]));
        cluster.now += 5_000;
    }
    assert_eq!(cluster.say(ask(8)), Said::Granted);
    (100..120).for_each(|waiting| assert_eq!(cluster.say(ask(waiting)), Said::Queued));
    cluster.tell(vec![Release::of_all(PermitId(8), None, Outcome::Failed)]);
    let patient = |patience_ms| Ask {
        patience_ms,
        ..ask(200)
    };
    assert_eq!(
        cluster.say(patient(10_000)),
        Said::Queued,
        "it is tried in five seconds"
    );
    assert_eq!(
        cluster.say(Ask {
            permit: 201,
            ..patient(4_000)
        }),
        Said::Refused(Some(Dropped::Deadline))
    );
}

#[test]
fn who_leaves_or_is_not_heard_of_waits_no_longer() {
    let mut cluster = waiting(&[ask(1), ask(2), ask(3)]);
    cluster.release(1);
    assert_eq!(cluster.status().requests, 2);
    cluster.now = 2_900;
    assert_eq!(cluster.say(ask(2)), Said::Queued);
    cluster.now = 3_000;
    assert_eq!(cluster.status().requests, 1, "of one nobody has heard for 3 s");
    cluster.now = 5_900;
    assert_eq!(
        cluster.status(),
        QueueStatus {
            expected: cluster.status().expected,
            ..QueueStatus::default()
        }
    );
}

#[test]
fn nothing_is_lent_while_somebody_waits() {
    let mut cluster = Cluster::new(2, 64);
    cluster.kv_tokens = 100_000;
    let lent = |reply| {
        let ClusterReply::Granted(Grant { lent, .. }) = reply else {
            panic!("{reply:?}")
        };
        lent
    };
    assert!(lent(cluster.reply(ask(1))).is_some());
    let large = |permit| Ask {
        prompt: 100_000,
        ..ask(permit)
    };
    assert_eq!(cluster.say(large(2)), Said::Granted);
    assert_eq!(cluster.say(large(3)), Said::Queued);
    cluster.release(2);
    assert_eq!(cluster.say(large(3)), Said::Granted);
    assert_eq!(cluster.say(large(4)), Said::Queued);
    let higher = Ask {
        priority: HIGH,
        ..ask(5)
    };
    assert_eq!(lent(cluster.reply(higher)), None);
}

#[test]
fn what_waits_outlives_a_record() {
    let mut cluster = waiting(&[ask(1), ask(2)]);
    let written = serde_json::to_string(&crate::cluster::ClusterCellV3::from(&cluster.cell)).unwrap();
    let read: crate::cluster::ClusterCellV3 = serde_json::from_str(&written).unwrap();
    cluster.cell = read.into();
    assert_eq!(cluster.drain(&[ask(1), ask(2)], 0), [1, 2]);
}
