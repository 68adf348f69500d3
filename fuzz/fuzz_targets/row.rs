//! Any bytes as a row of the prefix index: nothing, or a row that is written as it was read, and never tells of more than
//! the prompt that asks it is long.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tidegate_core::cluster::Boundary;
use tidegate_core::ids::{PrefixKey, Tokens};
use tidegate_core::prefix::index::{Place, ReplicaId, Row, Served, updated};
use tidegate_core::time::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let Some(row) = Row::parse(bytes) else { return };
    let written = row.encode().expect("it was read");
    assert_eq!(Row::parse(&written), Some(row.clone()));
    let wall = Timestamp::from_millis(1_800_000_000_000);
    let ttl = Duration::from_secs(3_600);
    let boundaries = [1, 2].map(|key| Boundary {
        key: PrefixKey(key),
        tokens: Tokens(1_000 * key),
    });
    let replica = ReplicaId::of(&"cluster".into(), &"http://replica".into());
    assert!(row.warm_at(replica, &boundaries, wall, ttl) <= Some(Tokens(2_000)));
    let served = Served {
        place: Place::new(replica, &boundaries, wall),
        boundaries: &boundaries,
        is_first_choice: false,
        is_return: true,
        is_missed: true,
    };
    let after = updated(Some(&row), served, wall, ttl).expect("it proved wrong");
    assert_eq!(after.warm_at(replica, &boundaries, wall, ttl), Some(Tokens(2_000)));
    assert_eq!(Row::parse(&after.encode().expect("a row")), Some(after));
});
