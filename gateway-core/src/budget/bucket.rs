//! A token bucket: a level that time raises, up to a bound. The arithmetic is in whole numbers, so that a wait is
//! exact and nothing is lost or invented by rounding.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::Rate;
use crate::time::Timestamp;

/// The level of a bucket. It may be below zero: that is debt, which time repays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// In units of which a minute's microseconds make one token: a rate of one token per minute adds one each
    /// microsecond.
    units: i64,
    /// When the level was that.
    at: Timestamp,
}

impl Bucket {
    /// A bucket that holds that many tokens now.
    pub fn holding(tokens: u64, now: Timestamp) -> Self {
        Self {
            units: to_units(tokens),
            at: now,
        }
    }

    /// Lets time raise the level, to at most `most` tokens. A level above `most` falls to it: what is held elsewhere
    /// has taken its room.
    pub fn refill(&mut self, now: Timestamp, rate: Rate, most: u64) {
        let elapsed = i128::try_from(now.since(self.at).as_micros()).unwrap_or(i128::MAX);
        let added = elapsed.saturating_mul(i128::from(rate.per_minute));
        let raised = i128::from(self.units).saturating_add(added);
        let most = i128::from(to_units(most));
        self.units = i64::try_from(raised.min(most)).unwrap_or(i64::MIN);
        self.at = self.at.max(now);
    }

    /// Whole tokens in it, below zero for debt.
    pub fn level(&self) -> i64 {
        self.units.div_euclid(UNITS_PER_TOKEN)
    }

    /// Takes tokens out, whether they are there or not.
    pub fn take(&mut self, tokens: u64) {
        self.units = self.units.saturating_sub(to_units(tokens));
    }

    /// Puts tokens back.
    pub fn put(&mut self, tokens: u64) {
        self.units = self.units.saturating_add(to_units(tokens));
    }

    /// How long it takes until it holds that many tokens, if nothing is taken meanwhile: exact, rounded up to the
    /// next microsecond.
    pub fn wait(&self, rate: Rate, tokens: u64) -> Duration {
        let lacking = to_units(tokens).saturating_sub(self.units).max(0);
        Duration::from_micros(lacking.unsigned_abs().div_ceil(rate.per_minute.max(1)))
    }
}

fn to_units(tokens: u64) -> i64 {
    i64::try_from(tokens)
        .unwrap_or(i64::MAX)
        .saturating_mul(UNITS_PER_TOKEN)
}

/// Microseconds in a minute.
const UNITS_PER_TOKEN: i64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_minute: 90,
        burst: 100,
    };

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + micros)
    }

    #[test]
    fn a_wait_is_exact_to_the_microsecond() {
        let mut bucket = Bucket::holding(0, at(0));
        let wait = u64::try_from(bucket.wait(RATE, 7).as_micros()).unwrap();
        assert_eq!(wait, 4_666_667);
        bucket.refill(at(wait - 1), RATE, 100);
        assert_eq!(bucket.level(), 6);
        bucket.refill(at(wait), RATE, 100);
        assert_eq!(bucket.level(), 7);
        assert_eq!(bucket.wait(RATE, 7), Duration::ZERO);
    }

    #[test]
    fn many_small_steps_are_one_large_one() {
        let (mut steps, mut leap) = (Bucket::holding(0, at(0)), Bucket::holding(0, at(0)));
        (1..=1_000).for_each(|step| steps.refill(at(step * 37), RATE, 100));
        leap.refill(at(37_000), RATE, 100);
        assert_eq!(steps, leap);
    }

    #[test]
    fn a_clock_that_goes_back_adds_nothing_twice() {
        let mut bucket = Bucket::holding(0, at(0));
        bucket.refill(at(60_000_000), RATE, 100);
        bucket.refill(at(0), RATE, 100);
        bucket.refill(at(60_000_000), RATE, 100);
        assert_eq!(bucket.level(), 90);
    }

    #[test]
    fn the_level_stays_below_its_bound_and_debt_is_repaid() {
        let mut bucket = Bucket::holding(50, at(0));
        bucket.take(140);
        assert_eq!(bucket.level(), -90);
        bucket.refill(at(60_000_000), RATE, 100);
        assert_eq!(bucket.level(), 0);
        bucket.refill(at(600_000_000), RATE, 100);
        assert_eq!(bucket.level(), 100);
        bucket.refill(at(600_000_000), RATE, 30);
        assert_eq!(bucket.level(), 30, "what is held elsewhere takes room");
    }

    #[test]
    fn figures_at_their_bounds_do_not_overflow() {
        let rate = Rate {
            per_minute: Rate::MOST,
            burst: Rate::MOST,
        };
        let mut bucket = Bucket::holding(u64::MAX, at(0));
        bucket.take(u64::MAX);
        bucket.take(u64::MAX);
        bucket.refill(Timestamp::from_micros(u64::MAX), rate, Rate::MOST);
        assert_eq!(bucket.level(), i64::try_from(Rate::MOST).unwrap());
    }
}
