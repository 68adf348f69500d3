mod drains;
mod explaining;

use proptest::prelude::*;

use super::*;
use crate::cluster::choice::{ChoiceReason, Obstacle, PassedOver};
use crate::cluster::health::HealthPolicy;
use crate::cluster::hot::HotDigest;
use crate::cluster::message::Prefilled;
use crate::cluster::permit::PermitId;
use crate::cluster::policy::{ClusterPolicy, PolicyRef, PrefillPolicy};
use crate::cluster::prompt::{Boundary, PromptOutline, WarmAt};
use crate::cluster::signals::{AskForTurn, EngineFigures, PollTurn, TellSignals};
use crate::ids::PrefixKey;

const POLICY: BreakerPolicy = BreakerPolicy {
    failures: 1,
    open: Duration::from_secs(5),
};
const TTL: Duration = Duration::from_secs(30);

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + seconds * 1_000)
}

pub(super) fn policy(replicas: &[&str], capacity: Capacity) -> PolicyRef {
    let replicas = replicas.iter().map(|name| ReplicaName::from(*name)).collect();
    ClusterPolicy {
        replicas,
        capacity,
        prefill: PrefillPolicy::default(),
        // Where all are out, none is tried before its breaker lets it.
        health: HealthPolicy {
            open: Duration::ZERO,
            ..HealthPolicy::default()
        },
    }
    .into()
}

/// It is a gateway's turn to ask engines what they say of themselves, and they say that.
pub(super) fn say_signals(
    mut apply: impl FnMut(ClusterCommand) -> ClusterReply,
    read: Vec<(ReplicaName, EngineFigures)>,
) {
    let ask = AskForTurn {
        every: Duration::from_secs(1),
        lasts: Duration::from_secs(1),
    };
    let reply = apply(ClusterCommand::AskForTurn(ask));
    let ClusterReply::PollTurn(PollTurn { turn: Some(turn), .. }) = reply else {
        panic!("it is nobody's turn: {reply:?}")
    };
    let ttl = Duration::from_secs(3);
    apply(ClusterCommand::TellSignals(TellSignals { turn, ttl, read }));
}

pub(super) fn acquire(permit: u64) -> Acquire {
    Acquire {
        permit: PermitId(permit),
        kv_tokens: Tokens(40),
        spare: 0,
        policy: policy(
            &["http://a", "http://b"],
            Capacity {
                requests: 2,
                kv_tokens: Tokens(100),
            },
        ),
        headroom_percent: 0,
        tried: vec![],
        affinity: Some(1),
        prompt: PromptOutline::default(),
        known_hot: HotDigest::default(),
        ttl: TTL,
        queueing: None,
        explains: false,
        is_new: false,
    }
}

pub(super) fn granted(cell: &mut ClusterCell, now: Timestamp, acquire: Acquire) -> Option<ReplicaName> {
    let reply = cell.apply(now, ClusterCommand::Acquire(acquire));
    if let ClusterReply::Granted(grant) = reply {
        Some(grant.replica)
    } else {
        None
    }
}

pub(super) fn release(permit: u64, replica: Option<ReplicaName>, outcome: Outcome) -> ClusterCommand {
    ClusterCommand::Release(Releases {
        releases: vec![Release::of_all(PermitId(permit), replica, outcome)],
        breaker: POLICY,
        prefilled: Vec::new(),
        forgotten: Vec::new(),
        served: Default::default(),
    })
}

fn renew(held: HeldPermit) -> ClusterCommand {
    ClusterCommand::Renew(Renew {
        held: vec![held],
        ttl: TTL,
    })
}

#[test]
fn a_full_cluster_refuses_until_a_permit_ends() {
    let mut cell = ClusterCell::default();
    assert!((1..=4).all(|permit| granted(&mut cell, at(0), acquire(permit)).is_some()));
    assert_eq!(granted(&mut cell, at(0), acquire(5)), None);
    cell.apply(at(1), release(3, None, Outcome::Served));
    assert!(granted(&mut cell, at(1), acquire(5)).is_some());
}

#[test]
fn what_is_kept_for_others_is_not_given_to_a_request_of_low_priority() {
    let mut cell = ClusterCell::default();
    let low = |permit| Acquire {
        headroom_percent: 50,
        ..acquire(permit)
    };
    assert!((1..=2).all(|permit| granted(&mut cell, at(0), low(permit)).is_some()));
    assert_eq!(granted(&mut cell, at(0), low(3)), None);
    assert!((3..=4).all(|permit| granted(&mut cell, at(0), acquire(permit)).is_some()));
}

#[test]
fn asking_twice_holds_once() {
    let mut cell = ClusterCell::default();
    let first = granted(&mut cell, at(0), acquire(1));
    assert_eq!(granted(&mut cell, at(0), acquire(1)), first);
    cell.apply(at(0), release(1, first, Outcome::Served));
    assert_eq!(cell.apply(at(0), ClusterCommand::Status), ClusterReply::Status(vec![]));
}

#[test]
fn a_permit_that_nobody_renews_is_free_again_and_one_that_is_renewed_is_not() {
    let mut cell = ClusterCell::default();
    let replica = granted(&mut cell, at(0), acquire(1)).unwrap();
    granted(&mut cell, at(0), acquire(2));
    let held = HeldPermit {
        permit: PermitId(1),
        replica: replica.clone(),
        capacity: Capacity::of_one(Tokens(40)),
    };
    cell.apply(at(20), renew(held));
    let ClusterReply::Status(status) = cell.apply(at(31), ClusterCommand::Status) else {
        panic!("no status")
    };
    assert_eq!(status.iter().map(|status| status.running).sum::<u32>(), 1);
}

#[test]
fn a_cell_that_was_restarted_learns_permits_from_renewals() {
    let mut cell = ClusterCell::default();
    let held = HeldPermit {
        permit: PermitId(9),
        replica: "http://a".into(),
        capacity: Capacity::of_one(Tokens(70)),
    };
    cell.apply(at(0), renew(held));
    assert_eq!(
        granted(&mut cell, at(0), acquire(1)),
        Some("http://b".into()),
        "40 do not fit beside 70 of 100"
    );
}

#[test]
fn a_failing_replica_is_left_out_and_tells_when_it_recovers() {
    let mut cell = ClusterCell::default();
    for permit in [1, 2] {
        let replica = granted(&mut cell, at(0), acquire(permit));
        cell.apply(at(0), release(permit, replica, Outcome::Failed));
    }
    let ClusterReply::Refused(refusal) = cell.apply(at(2), ClusterCommand::Acquire(acquire(3))) else {
        panic!("both breakers are open")
    };
    assert_eq!(refusal.recovery, Some(Duration::from_secs(3)));
    assert_eq!(refusal.load.max_running, 0);
    assert!(granted(&mut cell, at(5), acquire(4)).is_some(), "one may probe");
}

#[test]
fn a_probe_whose_room_went_back_is_awaited_until_it_is_known_how_it_ended() {
    let mut cell = ClusterCell::default();
    let only_a = |permit| Acquire {
        tried: vec!["http://b".into()],
        ..acquire(permit)
    };
    assert!(granted(&mut cell, at(0), only_a(1)).is_some());
    cell.apply(at(0), release(1, None, Outcome::Failed));
    assert!(granted(&mut cell, at(5), only_a(2)).is_some(), "the probe");
    let tell = |release| {
        ClusterCommand::Release(Releases {
            releases: vec![release],
            breaker: POLICY,
            prefilled: Vec::new(),
            forgotten: Vec::new(),
            served: Default::default(),
        })
    };
    let a = ReplicaName::from("http://a");
    cell.apply(at(6), tell(Release::of_room(PermitId(2), a.clone())));
    assert_eq!(running(&mut cell, at(6)), 0, "its room is free");
    assert_eq!(granted(&mut cell, at(7), only_a(3)), None, "no other probe meanwhile");
    cell.apply(at(8), release(2, Some(a.clone()), Outcome::Failed));
    assert_eq!(
        granted(&mut cell, at(12), only_a(4)),
        None,
        "open from when it was told"
    );
    assert!(granted(&mut cell, at(13), only_a(5)).is_some());
    cell.apply(at(13), tell(Release::late(PermitId(5), a, false)));
    assert_eq!(running(&mut cell, at(13)), 1, "a late word takes nothing back");
    assert_eq!(granted(&mut cell, at(17), only_a(6)), None);
}

#[test]
fn a_probe_closes_the_breaker_when_it_is_answered_and_keeps_its_room_to_its_end() {
    let mut cell = ClusterCell::default();
    let replica = granted(&mut cell, at(0), acquire(1));
    let one = ReplicaName::from("http://b");
    cell.apply(at(0), release(1, replica.clone(), Outcome::Failed));
    let other = Acquire {
        tried: vec![if replica.as_ref() == Some(&one) {
            "http://a".into()
        } else {
            one
        }],
        ..acquire(2)
    };
    let Some(replica) = replica else { panic!("not granted") };
    for asking in 0..2 {
        let ClusterReply::Granted(grant) = cell.apply(at(5), ClusterCommand::Acquire(other.clone())) else {
            panic!("not granted")
        };
        assert_eq!(
            (grant.replica, grant.is_probe),
            (replica.clone(), true),
            "asked again: {asking}"
        );
    }
    let next = |permit| Acquire {
        permit: PermitId(permit),
        ..other.clone()
    };
    assert_eq!(granted(&mut cell, at(6), next(3)), None, "a probe is on its way");
    let answered = Releases {
        releases: vec![Release::answered(PermitId(2), replica)],
        breaker: POLICY,
        prefilled: Vec::new(),
        forgotten: Vec::new(),
        served: Default::default(),
    };
    cell.apply(at(7), ClusterCommand::Release(answered));
    let ClusterReply::Granted(grant) = cell.apply(at(7), ClusterCommand::Acquire(next(4))) else {
        panic!("not granted")
    };
    assert!(!grant.is_probe);
    assert_eq!(running(&mut cell, at(7)), 2, "the probe still runs");
}

#[test]
fn what_was_tried_is_not_tried_again() {
    let mut cell = ClusterCell::default();
    let first = granted(&mut cell, at(0), acquire(1)).unwrap();
    let second = granted(
        &mut cell,
        at(0),
        Acquire {
            tried: vec![first.clone()],
            ..acquire(2)
        },
    )
    .unwrap();
    assert_ne!(first, second);
    assert_eq!(
        granted(
            &mut cell,
            at(0),
            Acquire {
                tried: vec![first, second],
                ..acquire(3)
            }
        ),
        None
    );
}

#[test]
fn the_reason_of_a_choice_is_told() {
    let mut cell = ClusterCell::default();
    let choice = |cell: &mut ClusterCell, acquire| {
        let reply = cell.apply(at(0), ClusterCommand::Acquire(acquire));
        let ClusterReply::Granted(grant) = reply else {
            panic!("{reply:?}")
        };
        grant.choice
    };
    assert_eq!(choice(&mut cell, acquire(1)), Some(ChoiceReason::First));
    assert_eq!(choice(&mut cell, acquire(1)), None, "it is held already");
    choice(&mut cell, acquire(2));
    let elsewhere = Some(ChoiceReason::Next(Obstacle::Full));
    assert_eq!(choice(&mut cell, acquire(3)), elsewhere);
    let again = Acquire {
        tried: vec!["http://a".into()],
        ..acquire(4)
    };
    assert_ne!(choice(&mut cell, again), Some(ChoiceReason::First));
    let ClusterReply::Refused(refusal) = cell.apply(at(0), ClusterCommand::Acquire(acquire(5))) else {
        panic!("both are full")
    };
    let full = PassedOver {
        full: 2,
        ..PassedOver::default()
    };
    assert_eq!(refusal.passed_over, full);
}

fn prefilled(permit: u64, replica: &str, seconds: u64) -> ClusterCommand {
    ClusterCommand::Release(Releases {
        releases: Vec::new(),
        breaker: POLICY,
        prefilled: vec![Prefilled {
            permit: PermitId(permit),
            replica: replica.into(),
            took: seconds.is_multiple_of(2).then(|| Duration::from_secs(seconds)),
        }],
        forgotten: Vec::new(),
        served: Default::default(),
    })
}

/// Any prompt, of which anything is said.
fn prompt() -> impl Strategy<Value = PromptOutline> {
    let boundaries = prop::collection::vec((0_u64..40, 0_u64..9_000), 0..6);
    (0_u64..9_000, boundaries, 0_u64..9_000, 0_u64..20_000).prop_map(|(tokens, boundaries, presumed, warm)| {
        let boundary = |(key, tokens)| Boundary {
            key: PrefixKey(key),
            tokens: Tokens(tokens),
        };
        PromptOutline {
            tokens: Tokens(tokens),
            boundaries: boundaries.into_iter().map(boundary).collect(),
            presumed: Tokens(presumed),
            warm: vec![WarmAt {
                replica: "http://a".into(),
                tokens: Tokens(warm),
                ago: Duration::ZERO,
            }],
        }
    })
}

proptest! {
    /// What a prompt is said to have in memory is never believed beyond its length.
    #[test]
    fn nothing_is_warm_beyond_the_prompt(prompts in prop::collection::vec(prompt(), 1..40)) {
        let mut cell = ClusterCell::default();
        for (permit, prompt) in prompts.into_iter().enumerate() {
            let tokens = prompt.tokens;
            let permit = permit as u64;
            let asked = ClusterCommand::Acquire(Acquire { prompt, ..acquire(permit) });
            let ClusterReply::Granted(grant) = cell.apply(at(permit), asked) else { panic!("refused") };
            prop_assert!(grant.expected.is_some_and(|expected| expected.warm <= tokens));
            cell.apply(at(permit), release(permit, None, Outcome::Served));
        }
    }

    #[test]
    fn figures_are_always_the_sums_over_permits(
        steps in prop::collection::vec((0_u8..6, 0_u64..12, 0_u64..20, 0_u8..3, prompt()), 1..200),
    ) {
        let mut cell = ClusterCell::default();
        let mut now = 0;
        for (kind, permit, wait, outcome, prompt) in steps {
            now += wait;
            let held = HeldPermit { permit: PermitId(permit), replica: "http://c".into(), capacity: Capacity::of_one(Tokens(7)) };
            let outcome = [Outcome::Served, Outcome::Failed, Outcome::Unknown][usize::from(outcome)];
            cell.apply(at(now), match kind {
                0 | 1 => ClusterCommand::Acquire(Acquire { prompt, ..acquire(permit) }),
                3 => prefilled(permit, "http://a", wait),
                4 => prefilled(permit, "http://b", wait),
                2 => renew(held),
                _ => release(permit, Some("http://a".into()), outcome),
            });
            prop_assert_eq!(cell.check_invariants(), Ok(()));
            let ClusterReply::Status(status) = cell.apply(at(now), ClusterCommand::Status) else { unreachable!() };
            for replica in status.iter().filter(|status| status.replica.as_str() != "http://c") {
                prop_assert!(replica.running <= 2 && replica.kv_tokens <= Tokens(100));
            }
        }
        cell.apply(at(now + 31), ClusterCommand::Status);
        prop_assert_eq!(cell.permits.replicas().count(), 0, "permits leaked");
    }
}

/// What is lent to a request that would take `spare` slots more at a replica for `max_running`.
fn lent(cell: &mut ClusterCell, permit: u64, spare: u32, max_running: u32) -> Option<u32> {
    let asked = Acquire {
        kv_tokens: Tokens(10),
        spare,
        policy: policy(
            &["http://a"],
            Capacity {
                requests: max_running,
                kv_tokens: Tokens(400),
            },
        ),
        ..acquire(permit)
    };
    let ClusterReply::Granted(grant) = cell.apply(at(0), ClusterCommand::Acquire(asked)) else {
        panic!("refused")
    };
    grant.lent
}

fn running(cell: &mut ClusterCell, now: Timestamp) -> u32 {
    let ClusterReply::Status(status) = cell.apply(now, ClusterCommand::Status) else {
        panic!("no status")
    };
    status.iter().map(|status| status.running).sum()
}

#[test]
fn what_is_lent_is_held_and_ends_at_half_of_the_room() {
    let mut cell = ClusterCell::default();
    assert_eq!(lent(&mut cell, 1, 3, 16), Some(3));
    assert_eq!(running(&mut cell, at(0)), 4);
    assert_eq!(lent(&mut cell, 2, 5, 16), Some(3), "half of 16 are 8");
    assert_eq!(lent(&mut cell, 3, 5, 16), None);
    assert_eq!(running(&mut cell, at(0)), 9);
    assert_eq!(lent(&mut ClusterCell::default(), 1, 3, 15), None, "too few to lie idle");
}

#[test]
fn what_was_lent_with_a_lost_reply_is_free_again_when_the_permit_is_renewed() {
    let mut cell = ClusterCell::default();
    lent(&mut cell, 1, 3, 16);
    assert_eq!(lent(&mut cell, 1, 3, 16), None);
    assert_eq!(running(&mut cell, at(0)), 4, "the reply may have arrived");
    cell.apply(
        at(10),
        renew(HeldPermit {
            permit: PermitId(1),
            replica: "http://a".into(),
            capacity: Capacity::of_one(Tokens(10)),
        }),
    );
    assert_eq!(running(&mut cell, at(10)), 1);
}

#[test]
fn nothing_is_lent_at_a_replica_that_has_failed_until_it_has_served() {
    let mut cell = ClusterCell::default();
    let policy = BreakerPolicy { failures: 3, ..POLICY };
    let tell = |cell: &mut ClusterCell, served_before, outcome| {
        let mut release = Release::of_all(PermitId(9), Some("http://a".into()), outcome);
        release.served_before = served_before;
        let releases = vec![release];
        cell.apply(
            at(0),
            ClusterCommand::Release(Releases {
                releases,
                breaker: policy,
                prefilled: Vec::new(),
                forgotten: Vec::new(),
                served: Default::default(),
            }),
        );
    };
    tell(&mut cell, false, Outcome::Failed);
    assert_eq!(lent(&mut cell, 1, 0, 16), None);
    tell(&mut cell, false, Outcome::Failed);
    // The third in a row would open the breaker, but others were served since.
    tell(&mut cell, true, Outcome::Failed);
    assert_eq!(lent(&mut cell, 2, 0, 16), None);
    tell(&mut cell, false, Outcome::Served);
    assert_eq!(lent(&mut cell, 3, 0, 16), Some(0));
}

#[test]
fn a_part_that_is_given_back_is_free_and_a_late_renewal_does_not_take_it_again() {
    let mut cell = ClusterCell::default();
    lent(&mut cell, 1, 3, 16);
    let held = HeldPermit {
        permit: PermitId(1),
        replica: "http://a".into(),
        capacity: Capacity {
            requests: 4,
            kv_tokens: Tokens(40),
        },
    };
    let mut release = Release::of_all(PermitId(1), Some("http://a".into()), Outcome::Unknown);
    release.left = Some(Capacity::of_one(Tokens(10)));
    let releases = vec![release];
    cell.apply(
        at(0),
        ClusterCommand::Release(Releases {
            releases,
            breaker: POLICY,
            prefilled: Vec::new(),
            forgotten: Vec::new(),
            served: Default::default(),
        }),
    );
    assert_eq!(running(&mut cell, at(0)), 1);
    cell.apply(at(20), renew(held));
    assert_eq!(running(&mut cell, at(31)), 1, "renewed, and no more than is left");
}

#[test]
fn lending_goes_on_while_there_is_room() {
    let mut cell = ClusterCell::default();
    let extend = |cell: &mut ClusterCell, requests: u32| {
        let held = HeldPermit {
            permit: PermitId(1),
            replica: "http://a".into(),
            capacity: Capacity {
                requests,
                kv_tokens: Tokens(u64::from(requests)),
            },
        };
        let room = Capacity {
            requests: 16,
            kv_tokens: Tokens(400),
        };
        let extend = Extend {
            replica: held.replica.clone(),
            held: vec![held],
            policy: policy(&["http://a", "http://b"], room),
            ttl: TTL,
            served: None,
        };
        let ClusterReply::Extended(extended) = cell.apply(at(0), ClusterCommand::Extend(extend)) else {
            panic!("another reply")
        };
        extended.lends
    };
    assert!(extend(&mut cell, 8));
    assert_eq!(running(&mut cell, at(0)), 8, "it had been forgotten");
    assert!(!extend(&mut ClusterCell::default(), 9));
}

fn by_digest(permit: u64) -> Acquire {
    let PolicyRef::Whole(whole) = acquire(permit).policy else {
        panic!("told whole")
    };
    Acquire {
        policy: PolicyRef::Digest(whole.digest()),
        ..acquire(permit)
    }
}

#[test]
fn a_policy_is_known_by_its_digest_once_it_was_told() {
    let mut cell = ClusterCell::default();
    let before = cell.clone();
    let reply = cell.apply(at(0), ClusterCommand::Acquire(by_digest(1)));
    assert_eq!(
        (reply, &cell),
        (ClusterReply::PolicyUnknown, &before),
        "nothing was done"
    );
    let whole = granted(&mut cell, at(0), acquire(1));
    assert_eq!(granted(&mut cell, at(0), by_digest(1)), whole, "it is held already");
    let mut told = ClusterCell::default();
    (1..=3).for_each(|permit| drop(granted(&mut told, at(0), acquire(permit))));
    (2..=3).for_each(|permit| drop(granted(&mut cell, at(0), by_digest(permit))));
    assert_eq!(cell, told, "a digest says as much as all of it");
}

#[test]
fn several_policies_are_known_during_a_rollout_and_the_oldest_is_forgotten() {
    let mut cell = ClusterCell::default();
    let capacity = |requests: u32| Capacity {
        requests,
        kv_tokens: Tokens(100),
    };
    let mut told = Vec::new();
    for requests in 1..=policies::MOST_POLICIES as u32 {
        let policy = policy(&["http://a", "http://b"], capacity(requests));
        let PolicyRef::Whole(whole) = &policy else {
            panic!("told whole")
        };
        told.push(PolicyRef::Digest(whole.digest()));
        cell.apply(at(0), ClusterCommand::Acquire(Acquire { policy, ..acquire(9) }));
    }
    let mut knows = |policy: &PolicyRef| {
        let policy = policy.clone();
        let reply = cell.apply(at(0), ClusterCommand::Acquire(Acquire { policy, ..acquire(9) }));
        reply != ClusterReply::PolicyUnknown
    };
    assert!(told.iter().all(&mut knows));
    assert!(knows(&policy(&["http://c"], capacity(1))), "told whole");
    assert!(!knows(&told[0]) && told[1..].iter().all(knows));
}

#[test]
fn the_layout_of_version_3_loses_nothing() {
    let mut cell = ClusterCell::default();
    let boundaries = [1, 2, 3].map(|key| Boundary {
        key: PrefixKey(u64::MAX - key),
        tokens: Tokens(key * 1_000),
    });
    for permit in 1..=3 {
        let prompt = PromptOutline {
            boundaries: boundaries.to_vec(),
            ..PromptOutline::of_tokens(Tokens(6_000))
        };
        let asked = acquire(permit);
        granted(&mut cell, at(0), Acquire { prompt, ..asked });
    }
    cell.apply(at(1), prefilled(1, "http://a", 2));
    cell.apply(at(1), prefilled(1, "http://b", 2));
    cell.apply(at(1), release(3, None, Outcome::Failed));
    let written = serde_json::to_string(&ClusterCellV3::from(&cell)).unwrap();
    let read: ClusterCellV3 = serde_json::from_str(&written).unwrap();
    assert_eq!(ClusterCell::from(read), cell);
}
