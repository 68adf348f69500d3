use tidegate_virtual::Random;

use super::super::evidence::FaultKind;
use super::*;
use crate::ids::Tokens;

fn policy() -> RolloutPolicy {
    RolloutPolicy {
        worse_errors: 100,
        worse_ttft_percent: 50,
        ..RolloutPolicy::default()
    }
}

/// A time to the first token around so many milliseconds, with a spread of a half up and down: log-normal, by Box and Muller.
fn time(random: &mut Random, median_ms: f64) -> Duration {
    let (one, two) = (1.0 - random.share(), random.share());
    let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos();
    Duration::from_secs_f64(median_ms * (0.5 * normal).exp() / 1e3)
}

/// Two versions among which requests are shared out.
struct Arms {
    /// Of a hundred, at the new one.
    share: f64,
    /// How often each fails: the others, then the new one.
    rates: [f64; 2],
    medians_ms: [f64; 2],
    requests: usize,
}

impl Arms {
    /// After how many requests at the new version it is found worse, looking after each hundred in all; `None` where it
    /// never is.
    fn found_after(&self, seed: u64) -> Option<u64> {
        let mut random = Random::new(seed);
        let mut seen = [Evidence::default(), Evidence::default()];
        for request in 1..=self.requests {
            let arm = usize::from(random.share() * 100.0 < self.share);
            let fault = (random.share() < self.rates[arm]).then_some(FaultKind::Error);
            let first = (PromptClass::of(Tokens(100)), time(&mut random, self.medians_ms[arm]));
            seen[arm].on_request(fault, Some(first));
            if request % 100 == 0 && judge(&seen[1], &seen[0], &policy()).is_some() {
                return Some(seen[1].requests);
            }
        }
        None
    }

    fn found(&self, runs: u64) -> Vec<Option<u64>> {
        (0..runs).map(|seed| self.found_after(seed << 32)).collect()
    }

    /// The share of runs in which it is.
    fn alarms(&self, runs: u64) -> f64 {
        let found = self.found(runs);
        found.iter().flatten().count() as f64 / runs as f64
    }

    /// The median of requests until it is; beyond all where it is in less than half of the runs.
    fn delay(&self, runs: u64) -> u64 {
        let mut found: Vec<_> = self
            .found(runs)
            .into_iter()
            .map(|after| after.unwrap_or(u64::MAX))
            .collect();
        found.sort_unstable();
        found[found.len() / 2]
    }
}

const ALIKE_MS: [f64; 2] = [300.0, 300.0];

#[test]
fn a_version_within_its_margins_is_hardly_ever_taken_for_worse() {
    for (share, rates, medians_ms) in [
        (50.0, [0.01, 0.01], ALIKE_MS),
        (5.0, [0.01, 0.01], ALIKE_MS),
        (50.0, [0.2, 0.2], ALIKE_MS),
        // At the margins themselves.
        (50.0, [0.01, 0.02], [300.0, 450.0]),
        (1.0, [0.05, 0.06], [300.0, 450.0]),
    ] {
        let arms = Arms {
            share,
            rates,
            medians_ms,
            requests: 10_000,
        };
        let alarms = arms.alarms(200);
        assert!(alarms <= ALPHA, "{share} {rates:?} {medians_ms:?}: {alarms}");
    }
}

#[test]
fn a_version_that_is_worse_is_found_soon() {
    for (share, rates, medians_ms, most) in [
        // Everything fails.
        (1.0, [0.01, 1.0], ALIKE_MS, 15),
        (50.0, [0.01, 0.1], ALIKE_MS, 700),
        (5.0, [0.05, 0.1], ALIKE_MS, 1_500),
        (50.0, [0.0, 0.0], [300.0, 600.0], 1_200),
        (5.0, [0.0, 0.0], [300.0, 900.0], 60),
    ] {
        let arms = Arms {
            share,
            rates,
            medians_ms,
            requests: 60_000,
        };
        let delay = arms.delay(20);
        assert!(delay <= most, "{share} {rates:?} {medians_ms:?}: {delay}");
    }
}

#[test]
fn where_nothing_is_known_nothing_is_said() {
    let (mut some, none) = (Evidence::default(), Evidence::default());
    some.on_request(Some(FaultKind::Error), None);
    for (version, others) in [(&none, &none), (&some, &none), (&none, &some)] {
        assert_eq!(judge(version, others, &policy()), None);
    }
    let mut broken = Evidence::default();
    (0..1_000).for_each(|_| broken.on_request(Some(FaultKind::Out), None));
    assert_eq!(
        judge(&broken, &none, &policy()),
        None,
        "there is nothing to compare it with"
    );
    assert_eq!(judge(&broken, &broken, &policy()), None, "the others are no better");
}

#[test]
fn another_mix_of_prompts_does_not_make_a_version_slow() {
    let mut random = Random::new(7);
    let (mut long, mut short) = (Evidence::default(), Evidence::default());
    for (evidence, long_of_ten) in [(&mut long, 8), (&mut short, 2)] {
        for request in 0..5_000 {
            let (tokens, median_ms) = if request % 10 < long_of_ten {
                (8_000, 900.0)
            } else {
                (100, 60.0)
            };
            let first = (PromptClass::of(Tokens(tokens)), time(&mut random, median_ms));
            evidence.on_request(None, Some(first));
        }
    }
    assert_eq!(judge(&long, &short, &policy()), None);
}

/// What docs/rollouts.md has in its table: `cargo test -p tidegate-core --lib --release table_of -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes and prints a table"]
fn table_of_false_alarms_and_delays() {
    for (share, rates, medians_ms) in [
        (50.0, [0.01, 0.01], ALIKE_MS),
        (50.0, [0.01, 0.02], [300.0, 450.0]),
        (5.0, [0.01, 0.02], [300.0, 450.0]),
    ] {
        let arms = Arms {
            share,
            rates,
            medians_ms,
            requests: 50_000,
        };
        println!(
            "share {share}% rates {rates:?} medians {medians_ms:?}: alarms {}",
            arms.alarms(2_000)
        );
    }
    for (rates, medians_ms) in [
        ([0.01, 1.0], ALIKE_MS),
        ([0.01, 0.1], ALIKE_MS),
        ([0.02, 0.04], ALIKE_MS),
        ([0.05, 0.1], ALIKE_MS),
        ([0.0, 0.0], [300.0, 600.0]),
        ([0.0, 0.0], [300.0, 900.0]),
    ] {
        for share in [1.0, 5.0, 25.0, 50.0] {
            let arms = Arms {
                share,
                rates,
                medians_ms,
                requests: 1_000_000,
            };
            println!(
                "share {share}% rates {rates:?} medians {medians_ms:?}: found after {}",
                arms.delay(100)
            );
        }
    }
}
