//! What a cluster costs and how its streams begin when its replicas are started and ended by the gateway's advice, beside
//! usual ways, over one day of an hour with bursts in it. The gateway is the one that ships, its engines are this crate's, and
//! replicas take 90 s to start.
//!
//! `cargo test -p tidegate-simulator --test scaling -- --nocapture` prints the table of docs/scaling.md.

mod autoscaler;
mod day;
mod fleet;
mod replica;

use std::thread;

use autoscaler::Autoscaler;
use day::{Day, Outcome};

/// Replicas start in so many seconds.
const COLD_START_S: u64 = 90;
/// A time to first token that is no longer is what clients were promised.
const OBJECTIVE_S: f64 = 2.0;

#[test]
fn the_advice_serves_in_time_what_usual_ways_do_not_and_costs_no_more_than_a_target_found_by_trying() {
    let all = [
        Autoscaler::Advice,
        Autoscaler::Utilisation { target: 0.8 },
        Autoscaler::Utilisation { target: 0.4 },
        Autoscaler::QueueLength { target: 5.0 },
    ];
    let days = all.map(|autoscaler| thread::spawn(move || Day { seed: 1, autoscaler }.pass()));
    let [advice, usual, tried, queue] = days.map(|day| day.join().expect("it comes to its end"));
    println!("{}", Outcome::HEAD);
    for outcome in [&advice, &usual, &tried, &queue] {
        println!("{outcome}");
    }
    assert!(advice.requests > 5_000, "{advice}");
    assert_eq!(advice.lost, 0, "{advice}");
    assert!(advice.attainment() > 0.98, "{advice}");
    assert!(
        advice.attainment() > usual.attainment() + 0.1,
        "{advice} beside {usual}"
    );
    assert!(
        advice.attainment() > queue.attainment() + 0.1,
        "{advice} beside {queue}"
    );
    assert!(advice.gpu_hours < queue.gpu_hours, "{advice} beside {queue}");
    assert!(
        advice.attainment() > tried.attainment() - 0.01,
        "{advice} beside {tried}"
    );
    assert!(advice.gpu_hours < tried.gpu_hours * 1.05, "{advice} beside {tried}");
}
