//! What a budget promises, over a fleet of locations.

use tidegate_core::budget::{BudgetLimits, Rate};

use crate::fleet::{Fleet, Outcome, Plan};

/// Demand as it is: few busy locations, many quiet ones (Zipf), so many requests a second in all.
fn skewed(locations: usize, total: f64) -> Vec<f64> {
    let weights: Vec<f64> = (1..=locations).map(|place| 1.0 / place as f64).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum * total).collect()
}

fn limits(per_minute: u64) -> BudgetLimits {
    BudgetLimits {
        tokens: Some(Rate {
            per_minute,
            burst: per_minute / 12,
        }),
        ..BudgetLimits::default()
    }
}

/// A thousand locations that ask for `share` of what the budget gives.
fn plan(seed: u64, share: f64) -> Plan {
    let per_minute = 60_000_000_u64;
    let mean_taken = 500.0;
    Plan {
        seed,
        limits: limits(per_minute),
        demand: skewed(1_000, per_minute as f64 / 60.0 / mean_taken * share),
        reserves: 400..1_000,
        takes: 300..701,
        runs_ms: 200..8_000,
        seconds: 40,
        warm_up: 20,
        lost: 0.0,
        doubled: 0.0,
        skew_ms: 0,
        deaths: 0.0,
    }
}

fn usable(plan: &Plan, outcome: &Outcome) -> f64 {
    let rate = plan.limits.tokens.unwrap().per_minute as f64 / 60.0;
    outcome.taken as f64 / (rate * (plan.seconds - plan.warm_up) as f64)
}

/// Calls per request at locations with at least a hundred requests a second.
fn calls_where_busy(plan: &Plan, outcome: &Outcome) -> f64 {
    let busy = outcome
        .per_location
        .iter()
        .zip(&plan.demand)
        .filter(|(_, demand)| **demand >= 100.0);
    let (calls, asked) = busy.fold((0, 0), |(calls, asked), (location, _)| {
        (calls + location.calls, asked + location.asked)
    });
    calls as f64 / asked as f64
}

fn show(name: &str, plan: &Plan, outcome: &Outcome) {
    println!(
        "{name}: asked {} admitted {} denied {} cut off {} calls/request {:.4}, where busy {:.4}; used {:.1}% of the \
         budget; beyond the bound {:.0}; overrun {}",
        outcome.asked,
        outcome.admitted,
        outcome.denied,
        outcome.cut_off,
        outcome.calls as f64 / outcome.asked as f64,
        calls_where_busy(plan, outcome),
        100.0 * usable(plan, outcome),
        outcome.beyond,
        outcome.overrun,
    );
}

#[test]
fn a_thousand_locations_use_a_budget_fully_and_never_more() {
    let plan = plan(1, 1.3);
    let outcome = Fleet::run(plan.clone());
    show("overload", &plan, &outcome);
    assert!(outcome.beyond <= 0.0, "{outcome:?}");
    assert!(usable(&plan, &outcome) >= 0.97);
}

#[test]
fn demand_within_the_budget_is_admitted_and_seldom_asks() {
    let plan = plan(2, 0.9);
    let outcome = Fleet::run(plan.clone());
    show("within", &plan, &outcome);
    assert!(outcome.beyond <= 0.0);
    assert!(outcome.denied * 1_000 <= outcome.asked, "{}", outcome.denied);
    assert!(calls_where_busy(&plan, &outcome) <= 0.02);
}

#[test]
fn faults_waste_a_little_and_admit_nothing_more() {
    for seed in 10..12 {
        let plan = Plan {
            lost: 0.02,
            doubled: 0.05,
            skew_ms: 5_000,
            deaths: 2.0,
            ..plan(seed, 1.3)
        };
        let outcome = Fleet::run(plan.clone());
        show("faults", &plan, &outcome);
        assert!(outcome.beyond <= 0.0, "seed {seed}");
        assert!(usable(&plan, &outcome) >= 0.90, "seed {seed}");
    }
}
