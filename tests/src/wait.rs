//! Waiting for what comes to hold sooner or later.

use std::thread;
use std::time::{Duration, Instant};

/// Waits until `holds`, looking often, and tells how long that took; panics with `what` when it does not come to hold in
/// time.
#[track_caller]
pub fn wait_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < within, "not in time: {what}");
        thread::sleep(LOOK_EVERY);
    }
    begun.elapsed()
}

const LOOK_EVERY: Duration = Duration::from_millis(50);
