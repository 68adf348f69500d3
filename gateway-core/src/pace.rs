//! How much of a body to wait for before it is handed on, where pieces may be held back; for adapters. Decided from how
//! fast the last piece came, so that an engine which is slow from one moment to the next delays no more than it must.

use std::time::Duration;

use crate::time::Timestamp;

/// The pace at which one body comes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    hold_back: Duration,
    last_piece: Timestamp,
    least: usize,
    has_begun: bool,
}

impl Pace {
    /// Of a body of which nothing has come yet, whose pieces may be held back for about so long; `None` where they may
    /// not.
    pub fn new(hold_back: Duration, now: Timestamp) -> Option<Self> {
        (!hold_back.is_zero()).then_some(Self {
            hold_back,
            last_piece: now,
            least: 1,
            has_begun: false,
        })
    }

    /// From now on its pieces may be held back. Until an answer has begun, whatever comes decides what becomes of it.
    pub fn on_begun(&mut self) {
        self.has_begun = true;
    }

    /// Bytes that the next piece should have at least, unless the body ends before: from 1 to [`LARGEST_PIECE`].
    pub fn least(&self) -> usize {
        if self.has_begun { self.least } else { 1 }
    }

    /// A piece of so many bytes has come.
    pub fn on_piece(&mut self, bytes: usize, now: Timestamp) {
        let took = now.since(self.last_piece).max(CLOCK_STEP);
        let bytes_per_s = (bytes as f64 / took.as_secs_f64()).min(FASTEST);
        let at_this_pace = (bytes_per_s * self.hold_back.as_secs_f64()) as usize;
        self.least = at_this_pace.clamp(1, LARGEST_PIECE);
        self.last_piece = now;
    }
}

/// The most that is waited for, in bytes.
pub const LARGEST_PIECE: usize = 4 << 10;
/// The fastest that any body is taken to come, in bytes a second: some 80 events. What comes at once may have been late.
const FASTEST: f64 = 16_000.0;
/// What clocks of runtimes count in.
const CLOCK_STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What is waited for behind pieces of so many bytes that came after so many milliseconds.
    fn least_after(pieces: &[(usize, u32)]) -> usize {
        let mut now = Timestamp::default();
        let mut pace = Pace::new(250 * MS, now).expect("pieces may be held back");
        pace.on_begun();
        for (bytes, took) in pieces {
            now = now + *took * MS;
            pace.on_piece(*bytes, now);
        }
        pace.least()
    }

    #[test]
    fn what_comes_within_the_time_is_put_together() {
        assert_eq!(least_after(&[(200, 500), (200, 125)]), 400);
        assert_eq!(least_after(&[(4_000, 1_000)]), 1_000);
    }

    #[test]
    fn a_slow_engine_is_not_waited_for() {
        assert_eq!(least_after(&[(200, 60_000)]), 1);
        assert_eq!(least_after(&[(200, 20), (800, 80), (2_000, 200), (2_500, 25_000)]), 25);
    }

    #[test]
    fn what_comes_at_once_makes_no_fast_engine() {
        assert_eq!(least_after(&[(200, 0)]), 4_000);
        assert_eq!(least_after(&[(1 << 20, 0)]), 4_000);
        let mut pace = Pace::new(3_600 * 1_000 * MS, Timestamp::default()).expect("pieces may be held back");
        pace.on_begun();
        pace.on_piece(200, Timestamp::default());
        assert_eq!(pace.least(), LARGEST_PIECE);
    }

    #[test]
    fn nothing_is_held_back_before_the_beginning_or_where_it_may_not() {
        assert!(Pace::new(Duration::ZERO, Timestamp::default()).is_none());
        let mut pace = Pace::new(250 * MS, Timestamp::default()).expect("pieces may be held back");
        pace.on_piece(200, Timestamp::default());
        assert_eq!(pace.least(), 1);
        pace.on_begun();
        assert_eq!(pace.least(), 4_000);
    }
}
