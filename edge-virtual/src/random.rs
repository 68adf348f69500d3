//! Randomness that a seed decides (SplitMix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators",
//! OOPSLA 2014).

use std::ops::Range;
use std::time::Duration;

/// A source of random figures.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The source of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The source of that number among those of one seed: what is drawn from one changes nothing in another.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut numbers = Self(number);
        Self(seed ^ numbers.bits())
    }

    /// Sixty-four bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to just below 1.
    pub fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something happens that happens in that share of cases, from 0 to 1. What never happens draws nothing.
    pub fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.share() < share
    }

    /// One of the range; its start where it is empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        let size = range.end.saturating_sub(range.start);
        range.start + self.bits().checked_rem(size).unwrap_or_default()
    }

    /// A time within the range, in whole microseconds.
    pub fn time_within(&mut self, range: &Range<Duration>) -> Duration {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.within(micros(range.start)..micros(range.end)))
    }

    /// Until the next of events that come at random, so many in a second (a Poisson process).
    pub fn until_next(&mut self, per_second: f64) -> Duration {
        let seconds = -(1.0 - self.share()).ln() / per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_seed_and_within_their_range() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [(); 100].map(|()| random.within(3..9))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().all(|drawn| (3..9).contains(drawn)));
        assert_eq!(Random::new(1).within(5..5), 5);
        let mut random = Random::new(1);
        let mean = (0..10_000).map(|_| random.until_next(4.0).as_secs_f64()).sum::<f64>() / 10_000.0;
        assert!((0.24..0.26).contains(&mean), "{mean}");
    }
}
