use proptest::prelude::*;

use super::super::arrivals::Rates;
use super::super::figures::{ReplicaCounts, Waiting};
use super::*;
use crate::ids::Tokens;

const CAPACITY: Capacity = Capacity {
    requests: 32,
    kv_tokens: Tokens(300_000),
};

const POLICY: ScalingPolicy = ScalingPolicy {
    min_replicas: 1,
    max_replicas: 100,
    target_percent: 50,
    cold_start: Duration::from_secs(90),
    scale_down_after: Duration::from_secs(300),
    step_up_percent: 100,
    step_down_percent: 25,
    ttft: Some(Duration::from_secs(2)),
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + seconds * 1_000)
}

fn rates(requests_per_s: f64) -> Rates {
    Rates {
        requests_per_s,
        uncached_tokens_per_s: requests_per_s * 1_000.0,
        tokens_per_s: requests_per_s * 1_500.0,
    }
}

/// A cluster to which so many requests of 1,000 uncached tokens come in a second, for answers of 260 tokens. A replica computes
/// 9,600 prompt tokens in a second, or 790 tokens of answers in batches of 32: each request takes 0.104 and 0.329 seconds of it.
fn figures(requests_per_s: f64) -> Figures {
    Figures {
        replicas: ReplicaCounts {
            serving: 4,
            ..ReplicaCounts::default()
        },
        arrival: rates(requests_per_s),
        arrival_ahead: rates(requests_per_s),
        prefill_tokens_per_s: 9_600.0,
        decode_tokens_per_s: 20.0,
        output_tokens: 260.0,
        cold_start: Duration::from_secs(90),
        ..Figures::default()
    }
}

fn first(figures: &Figures, policy: &ScalingPolicy) -> Advice {
    advise(at(0), (figures, CAPACITY), policy, &mut History::default())
}

#[test]
fn as_many_are_advised_as_the_scarcest_takes_at_the_target() {
    let advice = first(&figures(2.0), &POLICY);
    assert_eq!(advice.desired, 2, "0.87 of one at 50%: {:?}", advice.reasons);
    let time = "Prompts take the time of 0.21 replicas and answers that of 0.66,";
    assert!(advice.reasons[0].starts_with(time), "{:?}", advice.reasons);
    let mut many = figures(2.0);
    many.running = 320;
    let advice = first(&many, &POLICY);
    assert_eq!(advice.desired, 10, "all their places: {:?}", advice.reasons);
    assert!(
        advice.reasons[0].starts_with("What runs and waits fills the places of 10.00"),
        "{:?}",
        advice.reasons
    );
    let mut long_context = figures(0.1);
    long_context.running = 3;
    long_context.running_tokens = Tokens(900_000);
    let advice = first(&long_context, &POLICY);
    assert_eq!(advice.desired, 6, "3 at 50%: {:?}", advice.reasons);
    assert!(
        advice.reasons[0].contains("fill the kv_cache of 3.00"),
        "{:?}",
        advice.reasons
    );
}

#[test]
fn what_is_expected_a_cold_start_ahead_is_advised_for_now() {
    let mut rising = figures(6.0);
    rising.arrival_ahead = rates(12.0);
    let advice = first(&rising, &POLICY);
    assert_eq!(advice.desired, first(&figures(12.0), &POLICY).desired);
    assert!(
        advice.reasons.iter().any(|reason| reason.starts_with("In 90 s")),
        "{:?}",
        advice.reasons
    );
    let mut falling = figures(12.0);
    falling.arrival_ahead = rates(1.0);
    assert_eq!(first(&falling, &POLICY).desired, first(&figures(12.0), &POLICY).desired);
}

#[test]
fn requests_that_are_held_where_no_replica_is_there_are_demand() {
    let none = ScalingPolicy {
        min_replicas: 0,
        ..POLICY
    };
    let mut held = figures(0.0);
    held.replicas = ReplicaCounts::default();
    assert_eq!(first(&held, &none).desired, 0);
    held.waiting = Waiting {
        requests: 1,
        oldest: Duration::from_secs(3),
        uncached_tokens: Tokens(10),
        tokens: Tokens(20),
    };
    let advice = first(&held, &none);
    assert_eq!(advice.desired, 1, "{:?}", advice.reasons);
    assert!(
        advice.reasons.iter().any(|reason| reason.contains("requests wait")),
        "{:?}",
        advice.reasons
    );
    held.waiting.requests = 192;
    let mut history = History::default();
    history.begin(at(0), 0);
    assert_eq!(
        advise(at(0), (&held, CAPACITY), &none, &mut history).desired,
        4,
        "six are needed, and four may come in the first minute"
    );
}

#[test]
fn late_first_tokens_call_for_one_more_and_few_of_them_say_nothing() {
    let mut late = figures(1.0);
    (late.ttft_p95, late.ttft_streams) = (Some(Duration::from_secs(3)), 20);
    assert_eq!(first(&late, &POLICY).desired, 5);
    late.ttft_streams = 19;
    assert_eq!(first(&late, &POLICY).desired, 1);
    late.ttft_streams = 20;
    assert_eq!(first(&late, &ScalingPolicy { ttft: None, ..POLICY }).desired, 1);
}

#[test]
fn less_is_advised_when_less_was_needed_for_long_and_by_steps() {
    let mut history = History::default();
    let mut said = Vec::new();
    for minute in 0..12 {
        let requests_per_s = if minute == 0 { 18.0 } else { 1.0 };
        let advice = advise(
            at(minute * 60),
            (&figures(requests_per_s), CAPACITY),
            &POLICY,
            &mut history,
        );
        said.push(advice.desired);
    }
    assert_eq!(said, [16, 16, 16, 16, 16, 16, 12, 9, 7, 6, 5, 4]);
}

#[test]
fn those_that_load_drain_or_are_filled_by_what_runs_are_not_advised_away() {
    let mut history = History::default();
    history.begin(at(0), 8);
    let mut busy = figures(0.0);
    busy.replicas = ReplicaCounts {
        serving: 5,
        loading: 1,
        draining: 1,
        ..ReplicaCounts::default()
    };
    busy.running = 65;
    let at_once = ScalingPolicy {
        scale_down_after: Duration::ZERO,
        step_down_percent: 100,
        target_percent: 100,
        ..POLICY
    };
    let advice = advise(at(100), (&busy, CAPACITY), &at_once, &mut history);
    assert_eq!(advice.desired, 5, "three are filled: {:?}", advice.reasons);
    assert!(
        advice
            .reasons
            .iter()
            .any(|reason| reason.starts_with("1 load, 1 drain")),
        "{:?}",
        advice.reasons
    );
}

fn any_figures() -> impl Strategy<Value = Figures> {
    let number = || prop_oneof![0.0..1e4_f64, Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(0.0)];
    let replicas = (0..40_u32, 0..5_u32, 0..5_u32, 0..5_u32);
    let counts = (0..5_000_u32, 0..5_000_u32, 0..50_000_000_u64);
    (replicas, counts, [(); 6].map(|()| number())).prop_map(|(replicas, counts, numbers)| {
        let ((serving, loading, draining, ill), (running, requests, tokens)) = (replicas, counts);
        let [now, ahead, uncached, speed, output_tokens, decode_tokens_per_s] = numbers;
        let rates = |requests_per_s| Rates {
            requests_per_s,
            uncached_tokens_per_s: uncached,
            tokens_per_s: uncached,
        };
        Figures {
            replicas: ReplicaCounts {
                serving,
                loading,
                draining,
                ill,
                ..ReplicaCounts::default()
            },
            waiting: Waiting {
                requests,
                oldest: Duration::from_secs(1),
                uncached_tokens: Tokens(tokens),
                tokens: Tokens(tokens),
            },
            running,
            running_tokens: Tokens(tokens),
            arrival: rates(now),
            arrival_ahead: rates(ahead),
            prefill_tokens_per_s: speed,
            decode_tokens_per_s,
            output_tokens,
            ..Figures::default()
        }
    })
}

fn any_policy() -> impl Strategy<Value = ScalingPolicy> {
    (0..20_u32, 1..60_u32, 10..=100_u8, 0..600_u64, 1..300_u32, 1..=100_u32).prop_map(
        |(min_replicas, more, target_percent, after, step_up_percent, step_down_percent)| ScalingPolicy {
            min_replicas,
            max_replicas: min_replicas + more,
            target_percent,
            scale_down_after: Duration::from_secs(after),
            step_up_percent,
            step_down_percent,
            ..POLICY
        },
    )
}

proptest! {
    #[test]
    fn an_advice_keeps_its_bounds_and_changes_by_steps(
        policy in any_policy(),
        asked in prop::collection::vec((1..120_u64, any_figures()), 1..40),
    ) {
        let mut history = History::default();
        let mut now = 0;
        let mut told: Vec<(u64, u32)> = Vec::new();
        for (pause, figures) in asked {
            now += pause;
            let advice = advise(at(now), (&figures, CAPACITY), &policy, &mut history);
            let desired = advice.desired;
            prop_assert!((policy.min_replicas..=policy.max_replicas).contains(&desired));
            prop_assert!(!advice.reasons.is_empty());
            // What was told a minute ago held until the next was told.
            let held = told.iter().enumerate().filter(|(index, _)| {
                let until = told.get(index + 1).map_or(now, |(until, _)| *until);
                now - until < 60
            });
            let held: Vec<u32> = held.map(|(_, (_, desired))| *desired).collect();
            if let (Some(least), Some(most), Some((_, last))) = (held.iter().min(), held.iter().max(), told.last()) {
                let up = (least * policy.step_up_percent / 100).max(4);
                let down = (most * policy.step_down_percent / 100).max(1);
                prop_assert!(desired <= least + up, "{held:?} to {desired}");
                prop_assert!(desired + down >= *most.min(&(least + up)), "{held:?} to {desired}");
                if desired < *last {
                    let occupied = occupied(&figures, CAPACITY).min(policy.max_replicas);
                    prop_assert!(desired >= occupied.min(*last), "{last} to {desired}, where {occupied} are occupied");
                }
            }
            told.push((now, desired));
        }
    }

    #[test]
    fn who_has_more_to_do_is_never_advised_to_have_less(
        policy in any_policy(),
        figures in any_figures(),
        (running, waiting, tokens) in (0..100_u32, 0..100_u32, 0..1_000_000_u64),
        present in 0..40_u32,
    ) {
        let mut more = figures;
        more.running += running;
        more.running_tokens += Tokens(tokens);
        more.waiting.requests += waiting;
        more.waiting.tokens += Tokens(tokens);
        more.waiting.uncached_tokens += Tokens(tokens);
        let [less, more] = [figures, more].map(|figures| {
            let mut history = History::default();
            history.begin(at(0), present);
            advise(at(1_000), (&figures, CAPACITY), &policy, &mut history).desired
        });
        prop_assert!(more >= less, "{more} instead of {less}");
    }
}
