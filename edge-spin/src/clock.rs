//! The host's clock.

use std::time::Duration;

use spin_sdk::wasip3::clocks::{monotonic_clock, system_clock};
use tidegate_core::time::Timestamp;

/// The time now.
pub(crate) fn now() -> Timestamp {
    let now = system_clock::now();
    let seconds = u64::try_from(now.seconds).unwrap_or_default();
    Timestamp::from_micros(seconds.saturating_mul(1_000_000) + u64::from(now.nanoseconds / 1_000))
}

/// Completes after `duration`.
pub(crate) fn wait_for(duration: Duration) -> impl Future<Output = ()> + 'static {
    monotonic_clock::wait_for(duration.as_nanos().try_into().unwrap_or(u64::MAX))
}
