//! The host's clock.

use spin_sdk::wasip3::clocks::system_clock;
use tidegate_core::time::Timestamp;

/// The time now.
pub(crate) fn now() -> Timestamp {
    let now = system_clock::now();
    let seconds = u64::try_from(now.seconds).unwrap_or_default();
    Timestamp::from_micros(seconds.saturating_mul(1_000_000) + u64::from(now.nanoseconds / 1_000))
}
