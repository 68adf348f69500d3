//! Replicas that drain.

use super::*;
use crate::cluster::drain::{DrainOrder, DrainSet, SetDrain};

fn drain(replica: &str, seconds: u64) -> SetDrain {
    SetDrain {
        replica: replica.into(),
        order: Some(DrainOrder {
            deadline: Duration::from_secs(seconds),
            reason: None,
            ttl: TTL,
        }),
    }
}

fn undo(replica: &str) -> SetDrain {
    SetDrain {
        replica: replica.into(),
        order: None,
    }
}

fn set(cell: &mut ClusterCell, now: Timestamp, set: SetDrain) -> DrainSet {
    let ClusterReply::DrainSet(set) = cell.apply(now, ClusterCommand::Drain(set)) else {
        panic!("a reply to another command")
    };
    *set
}

/// A cell of two replicas with plenty of room, and what is asked of it.
fn roomy(permit: u64) -> Acquire {
    let capacity = Capacity {
        requests: 64,
        kv_tokens: Tokens(1_000_000),
    };
    Acquire {
        policy: policy(&["http://a", "http://b"], capacity),
        spare: 3,
        ..acquire(permit)
    }
}

fn status(cell: &mut ClusterCell, now: Timestamp, replica: &str) -> ReplicaStatus {
    let ClusterReply::Status(statuses) = cell.apply(now, ClusterCommand::Status) else {
        panic!("a status")
    };
    let mut found = statuses.into_iter().filter(|status| status.replica.as_str() == replica);
    found.next().expect("it is known")
}

#[test]
fn nothing_new_goes_to_it_and_what_runs_there_is_told_until_it_has_ended() {
    let mut cell = ClusterCell::default();
    let first = granted(&mut cell, at(0), roomy(1)).expect("room");
    for permit in 2..=4 {
        granted(&mut cell, at(1), roomy(permit)).expect("room");
    }
    let name = first.as_str().to_owned();
    let there = status(&mut cell, at(2), &name).running;
    let begun = set(&mut cell, at(2), drain(&name, 10));
    assert_eq!(begun.before, None);
    let told = begun.status.drain.expect("it drains");
    assert_eq!(
        (told.deadline_in, told.oldest, told.ends_in),
        (Duration::from_secs(10), Some(Duration::from_secs(2)), None)
    );
    for permit in 10..30 {
        assert_ne!(granted(&mut cell, at(3), roomy(permit)), Some(first.clone()));
    }
    let again = granted(&mut cell, at(3), roomy(1));
    assert_eq!(again, Some(first.clone()), "it had that permit before");
    cell.apply(at(4), release(1, None, Outcome::Served));
    let left = status(&mut cell, at(12), &name);
    assert!(left.running < there, "{left:?}");
    let drain = left.drain.expect("it drains");
    assert_eq!(
        (drain.deadline_in, drain.since),
        (Duration::ZERO, Duration::from_secs(10))
    );
    assert_eq!(drain.ends_in.is_some(), left.running > 0 || there > 0);
}

#[test]
fn nothing_is_lent_there_any_more_and_who_asks_to_go_on_gives_back() {
    let mut cell = ClusterCell::default();
    let first = granted(&mut cell, at(0), roomy(1)).expect("room");
    let extend = || Extend {
        replica: first.clone(),
        held: Vec::new(),
        policy: roomy(0).policy,
        ttl: TTL,
        served: None,
    };
    let lends = |cell: &mut ClusterCell| {
        let ClusterReply::Extended(extended) = cell.apply(at(1), ClusterCommand::Extend(extend())) else {
            panic!("a reply to another command")
        };
        extended.lends
    };
    assert!(lends(&mut cell));
    set(&mut cell, at(1), drain(first.as_str(), 10));
    assert!(!lends(&mut cell));
    set(&mut cell, at(1), undo(first.as_str()));
    assert!(lends(&mut cell));
}

#[test]
fn a_newer_deadline_counts_and_the_drain_began_when_it_began() {
    let mut cell = ClusterCell::default();
    set(&mut cell, at(0), drain("http://a", 10));
    let again = set(&mut cell, at(4), drain("http://a", 60));
    assert_eq!(again.before.expect("it did").deadline_in, Duration::from_secs(6));
    let now = again.status.drain.expect("it does");
    assert_eq!(
        (now.since, now.deadline_in),
        (Duration::from_secs(4), Duration::from_secs(60))
    );
    assert_eq!(set(&mut cell, at(5), undo("http://a")).status.drain, None);
    assert_eq!(set(&mut cell, at(5), undo("http://a")).before, None, "undone twice");
}

#[test]
fn conversations_move_and_are_not_called_back() {
    let mut cell = ClusterCell::default();
    let of_session = |permit| Acquire {
        kv_tokens: Tokens(9_000),
        prompt: PromptOutline {
            tokens: Tokens(8_000),
            boundaries: vec![Boundary {
                key: PrefixKey(7),
                tokens: Tokens(8_000),
            }],
            ..PromptOutline::default()
        },
        ..roomy(permit)
    };
    let first = granted(&mut cell, at(0), of_session(1)).expect("room");
    cell.apply(at(1), release(1, None, Outcome::Served));
    assert_eq!(
        granted(&mut cell, at(2), of_session(2)),
        Some(first.clone()),
        "warm there"
    );
    cell.apply(at(3), release(2, None, Outcome::Served));
    set(&mut cell, at(4), drain(first.as_str(), 10));
    let second = granted(&mut cell, at(5), of_session(3)).expect("room");
    assert_ne!(second, first);
    cell.apply(at(6), release(3, None, Outcome::Served));
    set(&mut cell, at(7), undo(first.as_str()));
    assert_eq!(granted(&mut cell, at(8), of_session(4)), Some(second), "warm here now");
}

#[test]
fn where_all_drain_nobody_waits_for_them() {
    let mut cell = ClusterCell::default();
    set(&mut cell, at(0), drain("http://a", 10));
    set(&mut cell, at(0), drain("http://b", 10));
    let ClusterReply::Refused(refusal) = cell.apply(at(1), ClusterCommand::Acquire(roomy(1))) else {
        panic!("none takes it")
    };
    assert_eq!((refusal.passed_over.draining, refusal.recovery), (2, None));
    assert_eq!(refusal.load.max_running, 0);
}

#[test]
fn it_outlives_a_restart_and_nothing_else_does() {
    let mut cell = ClusterCell::default();
    granted(&mut cell, at(0), roomy(1)).expect("room");
    set(&mut cell, at(1), drain("http://a", 100));
    let mut cell = cell.lasting();
    let left = status(&mut cell, at(11), "http://a");
    assert_eq!(left.running, 0);
    let drain = left.drain.expect("it drains");
    assert_eq!(drain.deadline_in, Duration::from_secs(90));
    assert!(!drain.is_done, "who runs there has yet to renew");
    let is_done =
        |cell: &mut ClusterCell, second| status(cell, at(second), "http://a").drain.expect("it drains").is_done;
    assert!(!is_done(&mut cell, 41) && is_done(&mut cell, 42));
    assert_eq!(granted(&mut cell, at(11), roomy(2)), Some("http://b".into()));
}

#[test]
fn one_that_has_left_the_configuration_is_forgotten_with_the_next() {
    let mut cell = ClusterCell::default();
    set(&mut cell, at(0), drain("http://gone", 10));
    set(&mut cell, at(1), drain("http://a", 10));
    assert!(
        status(&mut cell, at(1), "http://gone").drain.is_some(),
        "no policy is known yet"
    );
    granted(&mut cell, at(2), roomy(1)).expect("room");
    set(&mut cell, at(3), undo("http://a"));
    assert_eq!(cell.apply(at(3), ClusterCommand::Status), {
        let b = status(&mut cell, at(3), "http://b");
        ClusterReply::Status(vec![b])
    });
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(u64, u32),
    Release(u64, bool),
    Extend(u64),
    Drain(usize),
    Undo(usize),
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u64..40, 0_u32..4).prop_map(|(permit, spare)| Step::Acquire(permit, spare)),
        4 => (0_u64..40, any::<bool>()).prop_map(|(permit, failed)| Step::Release(permit, failed)),
        2 => (0_u64..40).prop_map(Step::Extend),
        2 => (0_usize..3).prop_map(Step::Drain),
        1 => (0_usize..3).prop_map(Step::Undo),
        1 => (1_u64..20).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

const NAMES: [&str; 3] = ["http://a", "http://b", "http://c"];

proptest! {
    /// Whoever dies, fails, comes twice or begins anew: a replica that drains is given nothing that it did not have.
    #[test]
    fn nothing_is_dispatched_to_what_drains(steps in prop::collection::vec(step(), 1..200)) {
        let mut cell = ClusterCell::default();
        let mut draining = BTreeSet::new();
        let mut second = 0;
        for step in steps {
            let now = at(second);
            match step {
                Step::Acquire(permit, spare) => {
                    let capacity = Capacity { requests: 16, kv_tokens: Tokens(2_000) };
                    let had = cell.permits.replica(PermitId(permit)).cloned();
                    let acquire = Acquire { policy: policy(&NAMES, capacity), spare, ..acquire(permit) };
                    if let Some(replica) = granted(&mut cell, now, acquire) {
                        prop_assert!(had == Some(replica.clone()) || !draining.contains(replica.as_str()), "{replica}");
                    }
                }
                Step::Release(permit, failed) => {
                    let outcome = if failed { Outcome::Failed } else { Outcome::Served };
                    cell.apply(now, release(permit, None, outcome));
                }
                Step::Extend(permit) => {
                    let capacity = Capacity { requests: 16, kv_tokens: Tokens(2_000) };
                    let Some(replica) = cell.permits.replica(PermitId(permit)).cloned() else { continue };
                    let extend = Extend { replica: replica.clone(), held: vec![], policy: policy(&NAMES, capacity), ttl: TTL, served: None };
                    if let ClusterReply::Extended(extended) = cell.apply(now, ClusterCommand::Extend(extend)) {
                        prop_assert!(!(extended.lends && draining.contains(replica.as_str())));
                    }
                }
                Step::Drain(index) => {
                    set(&mut cell, now, drain(NAMES[index], 30));
                    draining.insert(NAMES[index]);
                }
                Step::Undo(index) => {
                    set(&mut cell, now, undo(NAMES[index]));
                    draining.remove(NAMES[index]);
                }
                Step::Pass(seconds) => second += seconds,
                Step::Restart => cell = cell.lasting(),
            }
            prop_assert_eq!(cell.check_invariants(), Ok(()));
        }
    }
}
