//! Who asks for the answer of a key, in a cell that passes.

use std::time::Duration;

use tidegate_core::cache::{
    AskerId, CacheKey, EndFlight, EntryBytes, FlightEnding, FlightStanding, ForgetFlight, JoinFlight,
};
use tidegate_core::cells::{CellCall, CellId};
use tidegate_native::Redis;

use crate::world::{run, server, user};

const KEY: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

async fn ask<C: CellCall>(user: &Redis, call: C) -> C::Reply {
    let cell = CellId::Flight(CacheKey::parse(KEY).expect("a key"));
    let reply = user.call_cell(&cell, call.into_command()).await;
    reply.and_then(C::read).expect("a reply")
}

fn join(asker: u64) -> JoinFlight {
    JoinFlight {
        asker: AskerId(asker),
        ttl: Duration::from_secs(60),
    }
}

#[test]
fn two_processes_share_a_flight_whose_log_is_soon_forgotten() {
    let server = server("flights");
    let (one, other) = (user(&server), user(&server));
    run(async {
        assert_eq!(ask(&one, join(1)).await, FlightStanding::Leads);
        // More than a snapshot apart, as of one that looks for long.
        for _ in 0..100 {
            let standing = ask(&other, join(2)).await;
            assert!(matches!(standing, FlightStanding::Follows { .. }), "{standing:?}");
        }
        let bytes = EntryBytes((0..=u8::MAX).cycle().take(EntryBytes::MOST).collect());
        let end = EndFlight {
            asker: AskerId(1),
            ending: FlightEnding::Landed(bytes.clone()),
        };
        ask(&one, end).await;
        for asker in 2..80 {
            assert_eq!(ask(&other, join(asker)).await, FlightStanding::Landed(bytes.clone()));
        }
        ask(&one, ForgetFlight).await;
        assert_eq!(ask(&other, join(3)).await, FlightStanding::Leads);
    });
    let log = format!("tidegate:1:cell:flight/{KEY}");
    let left = server.command(&[b"PTTL", log.as_bytes()]);
    let left: u64 = left.trim_start_matches(':').parse().expect("a number");
    assert!((500_000..=600_000).contains(&left), "{left}");
}
