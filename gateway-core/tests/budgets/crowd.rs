//! Many clients that come at once, to several locations, for a budget that has enough for a few of them. Locations are
//! processes with threads: another request may come in between wherever one asks its platform for something.
//!
//! What this is for: that a request which looks at its lease and then asks the cell in two steps is overtaken by another,
//! and that the reply to the one admits the other. With both put in (`LeaseClient::reserve`, `LeaseCache::on_leased`) the
//! crowd fails at seed 36, and the fleet with faults in `scenarios.rs` at seed 10.

use std::time::Duration;

use tidegate_core::budget::Rate;
use tidegate_virtual::{Link, Random};

use crate::engine::Answers;
use crate::fleet::{Faults, Fleet, Plan};

const SIZE: u64 = 20;
const ENOUGH_FOR: u64 = 10;

/// How many of the clients are served.
fn crowd(seed: u64, locations: usize, clients: u64) -> u64 {
    let mut fleet = Fleet::new(Plan {
        seed,
        rate: Rate {
            per_minute: 1,
            burst: ENOUGH_FOR * SIZE,
        },
        demand: vec![0.0; locations],
        reserves: SIZE..SIZE + 1,
        answers: Answers {
            takes: SIZE..SIZE + 1,
            runs: Duration::from_secs(1)..Duration::from_secs(2),
        },
        seconds: 0,
        warm_up: 0,
        link: Link {
            delay: Duration::from_millis(1)..Duration::from_millis(20),
            ..Link::IDEAL
        },
        faults: Faults {
            interrupted: 0.2,
            ..Faults::default()
        },
    });
    let mut random = Random::new(seed);
    for _ in 0..clients {
        fleet.come(usize::try_from(random.within(0..locations as u64)).unwrap(), SIZE);
        // Some come together, others a moment later.
        fleet.serve_for(
            random.time_within(&(Duration::ZERO..Duration::from_millis(3))) * u32::from(random.happens(0.3)),
        );
    }
    fleet.close();
    fleet.admitted()
}

#[test]
fn a_crowd_gets_all_that_there_is_wherever_it_comes_in() {
    for seed in 0..200 {
        let locations = 1 + usize::try_from(seed % 5).unwrap();
        assert_eq!(
            crowd(seed, locations, 24 + seed % 100),
            ENOUGH_FOR,
            "seed {seed}, {locations} locations"
        );
    }
}
