//! The host's clocks. Each is asked only once while a future is polled, as if time stood still while code runs: a
//! request wants to know the time a dozen times between two waits, and asking is a call of the host.

use std::cell::Cell;
use std::future::Future;
use std::ops::Add;
use std::thread::LocalKey;
use std::time::Duration;

use spin_sdk::wasip3::clocks::{monotonic_clock, system_clock};
use tidegate_core::time::Timestamp;

/// The time now, for durations: it begins with the instance at the wall clock's time, and goes on by the other clock.
pub(crate) fn now() -> Timestamp {
    let now = moment();
    let (begun, then) = BEGUN.get().unwrap_or_else(|| {
        let begun = (now, wall());
        BEGUN.set(Some(begun));
        begun
    });
    then + Duration::from_nanos(now.nanos.saturating_sub(begun.nanos))
}

/// The wall clock, which may be set forward and back: for dates, and for what other instances read.
pub(crate) fn wall() -> Timestamp {
    asked_once(&SYSTEM, || {
        let now = system_clock::now();
        let seconds = u64::try_from(now.seconds).unwrap_or_default();
        Timestamp::from_micros(seconds.saturating_mul(1_000_000) + u64::from(now.nanoseconds / 1_000))
    })
}

/// The moment now.
pub(crate) fn moment() -> Moment {
    asked_once(&MONOTONIC, || Moment {
        nanos: monotonic_clock::now(),
    })
}

/// Lets time go on: a future is about to be polled.
pub(crate) fn go_on() {
    SYSTEM.set(None);
    MONOTONIC.set(None);
}

/// A moment of the clock that never goes back, whatever becomes of the system's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    nanos: u64,
}

impl Moment {
    /// Completes at this moment.
    pub(crate) fn wait(self) -> impl Future<Output = ()> + 'static {
        monotonic_clock::wait_until(self.nanos)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            nanos: self.nanos.saturating_add(nanos),
        }
    }
}

fn asked_once<T: Copy>(last: &'static LocalKey<Cell<Option<T>>>, ask: impl FnOnce() -> T) -> T {
    last.get().unwrap_or_else(|| {
        let now = ask();
        last.set(Some(now));
        now
    })
}

thread_local! {
    static SYSTEM: Cell<Option<Timestamp>> = const { Cell::new(None) };
    /// When time was first asked for, by both clocks.
    static BEGUN: Cell<Option<(Moment, Timestamp)>> = const { Cell::new(None) };
    static MONOTONIC: Cell<Option<Moment>> = const { Cell::new(None) };
}
