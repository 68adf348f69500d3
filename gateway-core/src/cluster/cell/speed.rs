//! How fast one replica computes prompts, learned from how long first events took. Between the work that a prompt had
//! before it and the time to its answer there is a line: its slope is the time of a token, and what it begins with is the
//! way there and back and a step or two of decoding. The slope is the median over pairs of samples, so that nearly a
//! third of them may be anything. Source: Theil, "A rank-invariant method of linear and polynomial regression analysis",
//! 1950; Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The latest few samples, and what they come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SpeedSamples {
    /// Tokens of work, and the milliseconds that they took; the oldest first.
    samples: VecDeque<(u64, u64)>,
    /// Tokens in a second; 0 as long as there are too few samples.
    learned: u32,
}

impl SpeedSamples {
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Tokens in a second, where the configuration says so much: within a factor of [`BOUND`] of that.
    pub fn tokens_per_s(&self, configured: u32) -> u32 {
        match self.learned {
            0 => configured.max(1),
            learned => learned.clamp((configured / BOUND).max(1), configured.max(1).saturating_mul(BOUND)),
        }
    }

    /// So much work took that long.
    pub fn on_prefilled(&mut self, work: u64, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).min(MOST_MILLIS);
        if self.samples.len() >= MOST_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((work, millis));
        self.learned = self.learn().unwrap_or_default();
    }

    fn learn(&self) -> Option<u32> {
        if self.samples.len() < FEWEST_SAMPLES {
            return None;
        }
        let pairs = self.samples.iter().enumerate().flat_map(|(index, one)| {
            let others = self.samples.iter().skip(index + 1);
            others.filter_map(move |other| {
                let (less, more) = if one.0 < other.0 { (one, other) } else { (other, one) };
                let tokens = more.0 - less.0;
                // Where samples are alike, the slope is noise.
                (tokens * APART >= more.0).then(|| speed(tokens, more.1.saturating_sub(less.1)))
            })
        });
        let mut speeds: Vec<u32> = pairs.collect();
        if speeds.len() < FEWEST_PAIRS {
            // All prompts are alike: the way there and back counts as work, which it is for each of them.
            speeds = self
                .samples
                .iter()
                .map(|(work, millis)| speed(*work, *millis))
                .collect();
        }
        let middle = speeds.len() / 2;
        Some(*speeds.select_nth_unstable(middle).1)
    }
}

/// Tokens in a second; a time that is no time at all is as fast as can be.
fn speed(tokens: u64, millis: u64) -> u32 {
    let per_s = tokens.saturating_mul(1_000).checked_div(millis).unwrap_or(u64::MAX);
    u32::try_from(per_s).unwrap_or(u32::MAX).max(1)
}

/// What is learned stays within this factor of what the operator has measured.
const BOUND: u32 = 4;
/// So many samples are kept: the speed follows a replica within as many prompts, and 120 pairs are sorted for each.
const MOST_SAMPLES: usize = 16;
/// Fewer say nothing.
const FEWEST_SAMPLES: usize = 5;
/// Fewer pairs that are apart say nothing either.
const FEWEST_PAIRS: usize = 8;
/// Two samples are apart when the larger one has a fourth of its work more.
const APART: u64 = 4;
/// A day: longer than any answer's beginning.
const MOST_MILLIS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURED: u32 = 10_000;

    /// What is learned of a replica of that speed, where each first event comes `late` milliseconds after the prefill.
    fn learned(tokens_per_s: u64, works: &[u64], late: impl Fn(usize) -> u64) -> u32 {
        let mut samples = SpeedSamples::default();
        for (index, work) in works.iter().enumerate() {
            let millis = work * 1_000 / tokens_per_s + late(index);
            samples.on_prefilled(*work, Duration::from_millis(millis));
        }
        samples.tokens_per_s(CONFIGURED)
    }

    const WORKS: [u64; 12] = [
        1_500, 8_000, 3_000, 20_000, 1_100, 5_000, 12_000, 2_000, 30_000, 4_000, 9_000, 6_000,
    ];

    #[test]
    fn the_way_there_and_back_does_not_count() {
        for tokens_per_s in [5_000, 10_000, 25_000] {
            let learned = f64::from(learned(tokens_per_s, &WORKS, |_| 80));
            let error = learned / tokens_per_s as f64 - 1.0;
            assert!(error.abs() < 0.02, "{tokens_per_s}: {learned}");
        }
    }

    #[test]
    fn a_few_that_were_held_up_change_little() {
        let learned = learned(10_000, &WORKS, |index| {
            if index % 4 == 0 {
                9_000
            } else {
                60 + index as u64 % 3 * 10
            }
        });
        assert!((8_500..11_500).contains(&learned), "{learned}");
    }

    #[test]
    fn what_is_learned_stays_near_what_is_configured() {
        assert_eq!(learned(1_000, &WORKS, |_| 0), CONFIGURED / 4);
        assert_eq!(learned(1_000_000, &WORKS, |_| 0), CONFIGURED * 4);
    }

    #[test]
    fn few_samples_say_nothing_and_alike_ones_their_ratio() {
        assert_eq!(learned(5_000, &WORKS[..4], |_| 0), CONFIGURED);
        assert_eq!(learned(5_000, &[4_000; 6], |_| 0), 5_000);
    }
}
