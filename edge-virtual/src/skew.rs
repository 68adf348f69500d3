//! How far a clock is from the true time.

use std::cell::Cell;
use std::time::Duration;

use tidegate_core::time::Timestamp;

/// A clock that may be wrong. It never reads a moment before the Unix epoch.
#[derive(Debug, Default)]
pub struct Skew {
    ahead_micros: Cell<i64>,
}

impl Skew {
    /// A clock that is so far ahead.
    pub(crate) fn ahead(by: Duration) -> Self {
        let skew = Self::default();
        skew.put_forward(by);
        skew
    }

    /// Sets it forward, as the keepers of a machine's time do. Sleeps under way end when they would have.
    pub fn put_forward(&self, by: Duration) {
        self.ahead_micros
            .set(self.ahead_micros.get().saturating_add(micros(by)));
    }

    /// Sets it back.
    pub fn put_back(&self, by: Duration) {
        self.ahead_micros
            .set(self.ahead_micros.get().saturating_sub(micros(by)));
    }

    /// What it reads at that true moment.
    pub(crate) fn read(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_micros(now.as_micros().saturating_add_signed(self.ahead_micros.get()))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
