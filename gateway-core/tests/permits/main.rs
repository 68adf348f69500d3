//! Permits as they are used, in fleets of whole gateways in the virtual world: engines fail, clients leave, locations die,
//! and messages to the cluster's cell are late, lost or there twice. At each moment no replica runs more than it has room
//! for, and the cell never knows of less than the locations hold; in the end everything is free.

mod audit;
mod config;
mod engine;
mod fleet;

use std::time::Duration;

use tidegate_core::cells::CellCommand;
use tidegate_core::cluster::ClusterCommand;
use tidegate_virtual::Link;

use crate::fleet::{Fleet, Plan};

#[test]
fn no_replica_runs_more_than_it_has_room_for() {
    let mut served = 0;
    for seed in 0..60 {
        let link = Link {
            delay: Duration::ZERO..Duration::from_millis(1 << (seed % 12)),
            lost: 0.1,
            doubled: 0.1,
            doubled_after: Duration::ZERO..Duration::from_secs(5),
            patience: Duration::from_secs(3),
            is_cut: false,
        };
        let mut fleet = Fleet::new(Plan {
            seed,
            locations: 3,
            per_second: 20.0,
            deaths: 0.2,
            failures: 0.15,
            leave: 0.1,
            interrupted: 0.05,
            runs: Duration::from_millis(10)..Duration::from_millis(100 << (seed % 7)),
            link,
        });
        fleet.open();
        fleet.serve_for(Duration::from_secs(10));
        served += fleet.close();
    }
    assert!(served > 10_000, "{served}");
}

#[test]
fn few_requests_have_to_ask_while_there_is_room() {
    let plan = Plan {
        seed: 0,
        locations: 1,
        per_second: 0.0,
        deaths: 0.0,
        failures: 0.0,
        leave: 0.0,
        interrupted: 0.0,
        runs: Duration::from_millis(5)..Duration::from_millis(5),
        link: Link::IDEAL,
    };
    let mut fleet = Fleet::new(plan);
    for _ in 0..2_000 {
        fleet.come(1, 10);
        fleet.come(1, 9);
        fleet.serve_for(Duration::from_millis(5));
    }
    let asked = fleet.commands(|command| matches!(command, CellCommand::Cluster(ClusterCommand::Acquire(_))));
    assert_eq!(fleet.close(), 4_000);
    assert!(asked <= 5, "{asked} of 4,000 asked");
}
