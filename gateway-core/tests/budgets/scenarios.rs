//! What a budget promises, over fleets of locations. That no window admits more than it may, and that accounts stand as
//! they must, is checked at each moment of every run (`audit.rs`).

use std::time::Duration;

use tidegate_core::budget::Rate;
use tidegate_virtual::Link;

use crate::engine::Answers;
use crate::fleet::{Faults, Fleet, Outcome, Plan};

/// Demand as it is: few busy locations, many quiet ones (Zipf), so many requests a second in all.
fn skewed(locations: usize, total: f64) -> Vec<f64> {
    let weights: Vec<f64> = (1..=locations).map(|rank| 1.0 / rank as f64).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum * total).collect()
}

/// A thousand locations that ask for `share` of what the budget gives.
fn plan(seed: u64, share: f64) -> Plan {
    let per_minute = 3_000_000_u64;
    let mean_taken = 25.0;
    Plan {
        seed,
        rate: Rate {
            per_minute,
            burst: per_minute / 12,
        },
        demand: skewed(1_000, per_minute as f64 / 60.0 / mean_taken * share),
        reserves: 20..50,
        answers: Answers {
            takes: 15..36,
            runs: Duration::from_millis(200)..Duration::from_secs(8),
        },
        seconds: 30,
        warm_up: 15,
        link: across_the_earth(),
        faults: Faults::default(),
    }
}

/// From next door to the other side of the Earth.
fn across_the_earth() -> Link {
    Link {
        delay: Duration::from_millis(5)..Duration::from_millis(150),
        ..Link::IDEAL
    }
}

fn usable(plan: &Plan, outcome: &Outcome) -> f64 {
    let rate = plan.rate.per_minute as f64 / 60.0;
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
         budget; overrun {}",
        outcome.asked,
        outcome.admitted,
        outcome.denied,
        outcome.cut_off,
        outcome.calls as f64 / outcome.asked as f64,
        calls_where_busy(plan, outcome),
        100.0 * usable(plan, outcome),
        outcome.overrun,
    );
}

#[test]
fn a_thousand_locations_use_a_budget_fully() {
    let plan = plan(1, 1.3);
    let outcome = Fleet::run(plan.clone());
    show("overload", &plan, &outcome);
    assert!(usable(&plan, &outcome) >= 0.97);
}

#[test]
fn demand_within_the_budget_is_admitted_and_seldom_asks() {
    let plan = plan(2, 0.9);
    let outcome = Fleet::run(plan.clone());
    show("within", &plan, &outcome);
    assert!(outcome.denied * 1_000 <= outcome.asked, "{}", outcome.denied);
    assert!(calls_where_busy(&plan, &outcome) <= 0.02);
}

#[test]
fn faults_waste_a_little_and_admit_nothing_more() {
    for seed in 10..12 {
        let link = Link {
            lost: 0.02,
            doubled: 0.05,
            doubled_after: Duration::ZERO..Duration::from_secs(5),
            ..across_the_earth()
        };
        let faults = Faults {
            ahead: Duration::from_secs(10),
            clocks_set: 2.0,
            deaths: 2.0,
            leave: 0.02,
            interrupted: 0.01,
        };
        let plan = Plan {
            link,
            faults,
            ..plan(seed, 1.3)
        };
        let outcome = Fleet::run(plan.clone());
        show("faults", &plan, &outcome);
        assert!(usable(&plan, &outcome) >= 0.90, "seed {seed}");
    }
}
