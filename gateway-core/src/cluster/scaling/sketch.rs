//! Times by their quantiles, in buckets that grow by a constant factor: sketches of many gateways add up to that of all,
//! and a quantile is off by 2% of itself at most. Source: Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable
//! quantile sketch with relative-error guarantees", 2019.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often times of each bucket have been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LatencySketch {
    counts: BTreeMap<u16, u32>,
}

impl LatencySketch {
    /// By how much a quantile may be off, as a share of itself, of times from a millisecond to an hour.
    pub const RELATIVE_ERROR: f64 = 0.02;

    /// A time was seen. What is shorter than a millisecond counts as one, what is longer than an hour as that.
    pub fn on(&mut self, time: Duration) {
        let millis = (time.as_secs_f64() * 1e3).max(1.0);
        // The bucket of index i has the times from above growth^(i-1) to growth^i milliseconds.
        let index = (millis.ln() / growth().ln()).ceil() as u16;
        let count = self.counts.entry(index.min(LAST)).or_default();
        *count = count.saturating_add(1);
    }

    /// What another one has seen was seen here as well.
    pub fn merge(&mut self, other: &Self) {
        for (index, more) in &other.counts {
            let count = self.counts.entry((*index).min(LAST)).or_default();
            *count = count.saturating_add(*more);
        }
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many times were seen.
    pub fn len(&self) -> u64 {
        self.counts.values().map(|count| u64::from(*count)).sum()
    }

    /// The time below which that share of all lies, from 0 to 1; `None` where nothing was seen.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share.clamp(0.0, 1.0) * self.len().saturating_sub(1) as f64).floor() as u64;
        let mut before = 0;
        let index = self.counts.iter().find_map(|(index, count)| {
            before += u64::from(*count);
            (before > rank).then_some(*index)
        })?;
        // Within the error of both ends of the bucket.
        let millis = 2.0 * growth().powi(index.into()) / (growth() + 1.0);
        Some(Duration::from_secs_f64(millis / 1e3))
    }
}

/// The factor from one bucket to the next.
fn growth() -> f64 {
    (1.0 + LatencySketch::RELATIVE_ERROR) / (1.0 - LatencySketch::RELATIVE_ERROR)
}

/// The bucket of an hour: 3,600,000 milliseconds are the factor to the power of 377.5.
const LAST: u16 = 378;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(millis: &[u64]) -> LatencySketch {
        let mut sketch = LatencySketch::default();
        millis
            .iter()
            .for_each(|millis| sketch.on(Duration::from_millis(*millis)));
        sketch
    }

    #[test]
    fn nothing_has_no_quantile_and_what_is_beyond_the_buckets_counts_as_their_ends() {
        assert_eq!(LatencySketch::default().quantile(0.95), None);
        let mut ends = LatencySketch::default();
        ends.on(Duration::ZERO);
        ends.on(Duration::MAX);
        let seconds = |share| ends.quantile(share).expect("it has seen two").as_secs_f64();
        assert!((0.000_9..0.001_1).contains(&seconds(0.0)), "{}", seconds(0.0));
        assert!((3_500.0..3_750.0).contains(&seconds(1.0)), "{}", seconds(1.0));
    }

    proptest! {
        #[test]
        fn a_quantile_is_off_by_the_stated_error_at_most(
            mut millis in prop::collection::vec(1..3_600_000_u64, 1..200),
            share in 0.0..=1.0_f64,
        ) {
            let told = sketch(&millis).quantile(share).expect("it has seen some").as_secs_f64() * 1e3;
            millis.sort_unstable();
            let exact = millis[(share * (millis.len() - 1) as f64).floor() as usize] as f64;
            prop_assert!((told / exact - 1.0).abs() <= LatencySketch::RELATIVE_ERROR + 1e-9, "{told} for {exact}");
        }

        #[test]
        fn those_of_several_add_up_to_that_of_all(
            one in prop::collection::vec(1..100_000_u64, 0..50),
            other in prop::collection::vec(1..100_000_u64, 0..50),
        ) {
            let mut merged = sketch(&one);
            merged.merge(&sketch(&other));
            prop_assert_eq!(merged, sketch(&[one, other].concat()));
        }
    }
}
