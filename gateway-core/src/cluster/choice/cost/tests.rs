use proptest::prelude::*;

use super::*;
use crate::cluster::choice::{Hindrance, first_weighed, weights};
use crate::cluster::permit::Capacity;
use crate::ids::ReplicaName;

const SPEED: u32 = 10_000;
const WEIGHTS: [u64; 3] = [3, 2, 1];

const fn free(running: u32) -> Standing {
    Standing::Free(Capacity {
        requests: running,
        kv_tokens: Tokens(0),
    })
}

const fn idle() -> Candidate {
    Candidate {
        standing: free(0),
        warmth: Warmth {
            tokens: Tokens(0),
            basis: Basis::Nothing,
        },
        queued: Duration::ZERO,
        tokens_per_s: SPEED,
        last_cold: 0,
    }
}

const fn busy(millis: u64) -> Candidate {
    Candidate {
        queued: Duration::from_millis(millis),
        ..idle()
    }
}

const fn warm(tokens: u64, basis: Basis, millis: u64) -> Candidate {
    let tokens = Tokens(tokens);
    Candidate {
        warmth: Warmth { tokens, basis },
        ..busy(millis)
    }
}

const fn out(why: Hindrance) -> Candidate {
    Candidate {
        standing: Standing::Passed(why),
        ..idle()
    }
}

fn placement(weights: Option<&[u64]>, tokens: u64) -> Placement<'_> {
    Placement {
        weights,
        tokens: Tokens(tokens),
        max_running: 100,
        warm_penalty: Duration::from_secs(2),
        spread: None,
    }
}

#[test]
fn what_many_share_goes_to_one_more_replica_where_that_is_wanted() {
    let candidates = [warm(4_000, Basis::Shared, 20), warm(4_000, Basis::Shared, 30), idle()];
    let mut placement = placement(Some(&WEIGHTS), 4_100);
    let stays = choose(&placement, &candidates).unwrap();
    assert_eq!((stays.replica, stays.reason), (0, ChoiceReason::Shared));
    placement.spread = Some(Tokens(4_000));
    let goes = choose(&placement, &candidates).unwrap();
    assert_eq!(
        (goes.replica, goes.reason, goes.warm),
        (2, ChoiceReason::Spread, Tokens(0))
    );
}

type Case = (&'static str, u64, [Candidate; 3], (usize, ChoiceReason));

/// Which of three replicas, of which the first is also first in the order, for a prompt of that many tokens, and why.
const CASES: [Case; 23] = [
    (
        "nothing is known",
        1_000,
        [idle(), idle(), idle()],
        (0, ChoiceReason::First),
    ),
    (
        "a little busier is no matter",
        1_000,
        [busy(25), idle(), idle()],
        (0, ChoiceReason::First),
    ),
    (
        "nothing there is worth more",
        1_000,
        [busy(36), idle(), idle()],
        (1, ChoiceReason::Cheaper(36)),
    ),
    (
        "a long prompt may wait longer",
        8_000,
        [busy(199), idle(), idle()],
        (0, ChoiceReason::First),
    ),
    (
        "and never long",
        80_000,
        [busy(251), idle(), idle()],
        (1, ChoiceReason::Cheaper(251)),
    ),
    (
        "warm",
        8_000,
        [idle(), warm(7_000, Basis::Known, 0), idle()],
        (1, ChoiceReason::Warm),
    ),
    (
        "a queue of less than that",
        8_000,
        [idle(), warm(7_000, Basis::Known, 600), idle()],
        (1, ChoiceReason::Warm),
    ),
    (
        "up to 2 s beyond",
        20_000,
        [idle(), warm(19_000, Basis::Known, 3_890), idle()],
        (1, ChoiceReason::Warm),
    ),
    (
        "and no more",
        20_000,
        [idle(), warm(19_000, Basis::Known, 3_910), idle()],
        (0, ChoiceReason::Cheaper(2_010)),
    ),
    (
        "who served the conversation comes before who has what others have",
        4_100,
        [warm(4_000, Basis::Shared, 0), warm(4_000, Basis::Known, 0), idle()],
        (1, ChoiceReason::Warm),
    ),
    (
        "what two have speaks for neither",
        4_100,
        [idle(), warm(4_000, Basis::Shared, 40), warm(4_000, Basis::Shared, 0)],
        (2, ChoiceReason::Cheaper(40)),
    ),
    (
        "twice the prefill",
        2_000,
        [idle(), warm(1_000, Basis::Known, 290), idle()],
        (1, ChoiceReason::Warm),
    ),
    (
        "and no more of that",
        2_000,
        [idle(), warm(1_000, Basis::Known, 310), idle()],
        (0, ChoiceReason::Cheaper(210)),
    ),
    (
        "the warmest",
        8_000,
        [warm(2_000, Basis::Shared, 0), warm(7_000, Basis::Known, 0), idle()],
        (1, ChoiceReason::Warm),
    ),
    (
        "the next warmest is sooner",
        8_000,
        [warm(7_000, Basis::Shared, 0), warm(7_500, Basis::Known, 5_000), idle()],
        (0, ChoiceReason::Cheaper(4_950)),
    ),
    (
        "shared",
        8_000,
        [idle(), warm(4_000, Basis::Shared, 0), warm(4_000, Basis::Shared, 0)],
        (1, ChoiceReason::Shared),
    ),
    (
        "the other that shares",
        8_000,
        [idle(), warm(4_000, Basis::Shared, 1_300), warm(4_000, Basis::Shared, 0)],
        (2, ChoiceReason::Cheaper(1_300)),
    ),
    (
        "presumed",
        8_000,
        [warm(7_000, Basis::Presumed, 1_000), idle(), idle()],
        (0, ChoiceReason::Presumed),
    ),
    (
        "full",
        1_000,
        [out(Hindrance::Full), busy(50), idle()],
        (2, ChoiceReason::Next(Obstacle::Full)),
    ),
    (
        "open: the next in order",
        1_000,
        [out(Hindrance::Open), busy(20), idle()],
        (1, ChoiceReason::Next(Obstacle::Open)),
    ),
    (
        "open: not at any price",
        1_000,
        [out(Hindrance::Open), busy(60), idle()],
        (2, ChoiceReason::Next(Obstacle::Open)),
    ),
    (
        "tried",
        1_000,
        [out(Hindrance::Tried), out(Hindrance::Open), idle()],
        (2, ChoiceReason::Next(Obstacle::Tried)),
    ),
    (
        "warm, and full",
        8_000,
        [
            idle(),
            Candidate {
                standing: Standing::Passed(Hindrance::Full),
                ..warm(7_000, Basis::Known, 0)
            },
            idle(),
        ],
        (0, ChoiceReason::Next(Obstacle::Full)),
    ),
];

#[test]
fn who_answers_soonest_gets_it_unless_another_has_it_in_memory() {
    for (case, tokens, candidates, expected) in CASES {
        let choice = choose(&placement(Some(&WEIGHTS), tokens), &candidates).expect("one is free");
        assert_eq!((choice.replica, choice.reason), expected, "{case}");
    }
}

#[test]
fn a_fast_replica_is_worth_a_longer_way() {
    let fast = Candidate {
        tokens_per_s: 4 * SPEED,
        ..busy(100)
    };
    let placed = |tokens| choose(&placement(None, tokens), &[idle(), fast]).expect("one").replica;
    assert_eq!((placed(1_000), placed(10_000)), (0, 1));
}

#[test]
fn what_a_replica_decodes_counts_a_step_of_it() {
    let running = |running| Candidate {
        standing: free(running),
        ..idle()
    };
    let candidates = [running(100), running(40), running(10)];
    let choice = choose(&placement(None, 1_000), &candidates).expect("one");
    assert_eq!((choice.replica, choice.reason), (2, ChoiceReason::NoAffinity));
    assert_eq!(choice.first_token_in, Duration::from_millis(105));
}

#[test]
fn of_those_alike_the_one_that_had_no_cold_prompt_for_the_longest_gets_it() {
    let last = |last_cold| Candidate { last_cold, ..idle() };
    let placed =
        |weights, candidates: &[Candidate]| choose(&placement(weights, 1_000), candidates).expect("one").replica;
    assert_eq!(placed(None, &[last(3), last(1), last(2)]), 1);
    assert_eq!(placed(Some(&WEIGHTS), &[busy(200), last(2), last(1)]), 2);
    assert_eq!(
        placed(Some(&WEIGHTS), &[busy(200), last(1), last(1)]),
        1,
        "the order decides"
    );
}

#[test]
fn what_is_expected_is_told() {
    let choice = choose(&placement(None, 8_000), &[warm(9_000, Basis::Known, 70)]).expect("one");
    assert_eq!(
        (choice.warm, choice.first_token_in),
        (Tokens(8_000), Duration::from_millis(70))
    );
    let choice = choose(&placement(None, 8_000), &[warm(2_000, Basis::Known, 70)]).expect("one");
    assert_eq!(choice.first_token_in, Duration::from_millis(670));
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let obstacle = prop_oneof![
        Just(Hindrance::Full),
        Just(Hindrance::Open),
        Just(Hindrance::Tried),
        Just(Hindrance::Draining)
    ];
    let standing = prop_oneof![3 => (0_u32..100).prop_map(free), 1 => obstacle.prop_map(Standing::Passed)];
    let basis = prop_oneof![
        Just(Basis::Known),
        Just(Basis::Shared),
        Just(Basis::Presumed),
        Just(Basis::Nothing)
    ];
    // As fast that what is tolerated by tokens takes no longer than the penalty.
    let tokens_per_s = 1_250_u32..50_000;
    (standing, basis, 0_u64..9_000, 0_u64..4_000, tokens_per_s, 0_u64..9).prop_map(
        |(standing, basis, tokens, millis, tokens_per_s, last_cold)| Candidate {
            standing,
            warmth: Warmth {
                tokens: Tokens(tokens / 3_000 * 3_000),
                basis,
            },
            queued: Duration::from_millis(millis),
            tokens_per_s,
            last_cold,
        },
    )
}

proptest! {
    #[test]
    fn what_is_chosen_is_free_and_within_what_is_tolerated(
        candidates in prop::collection::vec(candidate(), 0..7),
        affinity in prop::option::of(0_u64..50),
        tokens in 0_u64..9_000,
    ) {
        let names: Vec<_> = (0..candidates.len()).map(|index| ReplicaName::from(index.to_string().as_str())).collect();
        let weights = affinity.map(|affinity| weights(affinity, &names));
        let placement = placement(weights.as_deref(), tokens);
        let costs: Vec<_> = candidates.iter().filter_map(|candidate| placement.cost(candidate)).collect();
        match choose(&placement, &candidates) {
            Ok(choice) => {
                let chosen = &candidates[choice.replica];
                let cost = placement.cost(chosen).expect("it is free");
                let least = costs.iter().min().copied().expect("one is free");
                prop_assert_eq!(choice.first_token_in, Duration::from_micros(cost));
                prop_assert!(choice.warm <= Tokens(tokens) && choice.warm <= chosen.warmth.tokens);
                let tie = prefill(TIE, chosen.tokens_per_s);
                prop_assert!(cost <= least + tie.max(placement.tolerance(chosen)));
                prop_assert!(cost <= least + tie.max(2_000_000));
                if let ChoiceReason::Cheaper(_) | ChoiceReason::NoAffinity = choice.reason {
                    prop_assert!(cost <= least + tie);
                }
            }
            Err(PassedOver {
                full,
                open,
                tried,
                draining,
            }) => {
                prop_assert_eq!(costs.len(), 0);
                prop_assert_eq!((full + open + tried + draining) as usize, candidates.len());
            }
        }
    }

    /// An order of replicas does not depend on how they stand: whoever is out makes way for the next in it.
    #[test]
    fn those_that_are_out_are_as_if_they_were_not_there(
        candidates in prop::collection::vec(candidate(), 1..7),
        tokens in 0_u64..9_000,
    ) {
        let weights: Vec<u64> = (0..candidates.len() as u64).map(|index| index * 7 % 11).collect();
        let is_in = |index: &usize| candidates[*index].standing.is_out().is_none();
        let left: Vec<_> = (0..candidates.len()).filter(is_in).collect();
        let left_candidates: Vec<_> = left.iter().map(|index| candidates[*index]).collect();
        let left_weights: Vec<_> = left.iter().map(|index| weights[*index]).collect();
        let among_all = choose(&placement(Some(&weights), tokens), &candidates).ok().map(|it| it.replica);
        let among_left = choose(&placement(Some(&left_weights), tokens), &left_candidates);
        prop_assert_eq!(among_all, among_left.ok().map(|it| left[it.replica]));
    }

    /// As long as nothing is known and nothing queued, each affinity stays at its first choice.
    #[test]
    fn without_load_the_order_decides(affinity: u64, tokens in 0_u64..100_000) {
        let names: Vec<_> = (0..8).map(|index| ReplicaName::from(format!("http://{index}").as_str())).collect();
        let weights = weights(affinity, &names);
        let choice = choose(&placement(Some(&weights), tokens), &[idle(); 8]).expect("all are free");
        prop_assert_eq!(Some(choice.replica), first_weighed(&weights, |_| true));
    }
}
