//! How much work comes to a cluster, and how that grows: sums over slices of ten seconds, smoothed with their trend, so that
//! what comes a cold start later can be told. Source: Holt, "Forecasting seasonals and trends by exponentially weighted
//! moving averages", 1957 (2004). All of it is counted in whole numbers, so that a cell comes to the same wherever it runs.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::Tokens;
use crate::time::Timestamp;

/// What requests ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// How many they are.
    pub requests: u64,
    /// What of their prompts has to be computed, as far as is known when they come, in tokens.
    pub uncached_tokens: u64,
    /// Their prompts and the answers that are expected, in tokens.
    pub tokens: u64,
}

impl Work {
    /// One request's, of whose prompt so much has to be computed, and which will fill so much kv_cache.
    pub fn of_one(uncached_tokens: u64, tokens: Tokens) -> Self {
        Self {
            requests: 1,
            uncached_tokens,
            tokens: tokens.0,
        }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.uncached_tokens = self.uncached_tokens.saturating_add(more.uncached_tokens);
        self.tokens = self.tokens.saturating_add(more.tokens);
    }
}

/// Work in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Requests.
    pub requests_per_s: f64,
    /// Prompt tokens that have to be computed.
    pub uncached_tokens_per_s: f64,
    /// Tokens of prompts and of expected answers.
    pub tokens_per_s: f64,
}

/// What has come to one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cluster) struct Arrivals {
    /// The number of the slice that is summed up.
    slice: u64,
    sum: Work,
    requests: Smoothed,
    uncached_tokens: Smoothed,
    tokens: Smoothed,
}

impl Arrivals {
    /// Work comes.
    pub fn on(&mut self, now: Timestamp, work: Work) {
        self.advance(now);
        self.sum += work;
    }

    /// Time passes: slices that are over count.
    pub fn advance(&mut self, now: Timestamp) {
        let slice = slice(now);
        if self.slice == 0 {
            self.slice = slice;
        }
        let passed = slice.saturating_sub(self.slice);
        if passed > FORGOTTEN_AFTER {
            *self = Self::default();
        }
        for _ in 0..passed.min(FORGOTTEN_AFTER) {
            let sum = std::mem::take(&mut self.sum);
            self.requests.on(sum.requests);
            self.uncached_tokens.on(sum.uncached_tokens);
            self.tokens.on(sum.tokens);
        }
        self.slice = self.slice.max(slice);
    }

    /// What comes in a second, so long after the last slice was over.
    pub fn rates(&self, ahead: Duration) -> Rates {
        let slices = ahead.as_secs_f64() / SLICE.as_secs_f64();
        let rate = |smoothed: Smoothed| smoothed.after(slices) / SLICE.as_secs_f64();
        Rates {
            requests_per_s: rate(self.requests),
            uncached_tokens_per_s: rate(self.uncached_tokens),
            tokens_per_s: rate(self.tokens),
        }
    }

    /// By how many tokens a second the arrival of tokens changes in a second.
    pub fn trend(&self) -> f64 {
        let per_slice = self.tokens.trend as f64 / ONE as f64;
        per_slice / SLICE.as_secs_f64().powi(2)
    }
}

/// Holt's linear smoothing of a number for each slice, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Smoothed {
    level: i64,
    trend: i64,
}

impl Smoothed {
    fn on(&mut self, sum: u64) {
        let sum = i64::try_from(sum).unwrap_or(MOST).min(MOST) * ONE;
        if *self == Self::default() {
            // What begins is no trend.
            self.level = sum;
            return;
        }
        let expected = (self.level + self.trend).max(0);
        let level = expected + (sum - expected) / LEVEL_SHARE;
        self.trend += (level - self.level - self.trend) / TREND_SHARE;
        self.level = level;
    }

    /// So many slices later: between nothing and twice as much, since no trend lasts.
    fn after(self, slices: f64) -> f64 {
        let level = self.level as f64 / ONE as f64;
        let trend = self.trend as f64 / ONE as f64;
        (level + trend * slices).clamp(0.0, level * 2.0)
    }
}

/// The number of the slice in which a moment is.
fn slice(now: Timestamp) -> u64 {
    now.as_secs() / SLICE.as_secs()
}

/// Long enough that one prompt more or less changes little, and short beside a cold start.
const SLICE: Duration = Duration::from_secs(10);
/// The newest slice counts for this part of the level: what was 35 seconds ago counts for a third of what is now.
const LEVEL_SHARE: i64 = 4;
/// And its step for this part of the trend: that is one of the last two or three minutes.
const TREND_SHARE: i64 = 16;
/// What is smoothed is counted in thousandths.
const ONE: i64 = 1_000;
/// More than comes in a slice: sums stay far from the end of what can be counted.
const MOST: i64 = 1 << 40;
/// After so many slices without any work nothing is left of a level.
const FORGOTTEN_AFTER: u64 = 180;

#[cfg(test)]
mod tests {
    use super::*;

    fn work(requests: u64) -> Work {
        Work {
            requests,
            uncached_tokens: requests.saturating_mul(100),
            tokens: requests.saturating_mul(300),
        }
    }

    /// What is known after work came in each of these slices.
    fn after(slices: impl IntoIterator<Item = u64>) -> Arrivals {
        let mut arrivals = Arrivals::default();
        for (index, requests) in slices.into_iter().enumerate() {
            arrivals.on(
                Timestamp::from_millis(1_000_000 + index as u64 * 10_000),
                work(requests),
            );
        }
        arrivals
    }

    #[test]
    fn what_comes_evenly_is_known_and_does_not_grow() {
        let arrivals = after([50; 200]);
        for ahead in [0, 90, 600] {
            let Rates {
                requests_per_s,
                uncached_tokens_per_s,
                tokens_per_s,
            } = arrivals.rates(Duration::from_secs(ahead));
            assert!((requests_per_s - 5.0).abs() < 0.1, "{requests_per_s} {ahead} s ahead");
            assert!((uncached_tokens_per_s - 500.0).abs() < 5.0);
            assert!((tokens_per_s - 1_500.0).abs() < 15.0);
        }
        assert!(arrivals.trend().abs() < 0.1);
    }

    #[test]
    fn what_grows_evenly_is_known_a_cold_start_ahead() {
        let arrivals = after((0..60).map(|slice| 50 + slice * 2));
        // The last slice is not over; the one before it had 166.
        let expected = (166.0 + 2.0 * 9.0) / 10.0;
        let ahead = arrivals.rates(Duration::from_secs(90)).requests_per_s;
        assert!((ahead / expected - 1.0).abs() < 0.05, "{ahead} instead of {expected}");
        // 2 requests of 300 tokens more in each slice of 10 s.
        assert!((arrivals.trend() - 6.0).abs() < 0.5, "{}", arrivals.trend());
    }

    #[test]
    fn nothing_is_left_where_nothing_comes() {
        let mut arrivals = after([50; 30]);
        arrivals.advance(Timestamp::from_millis(1_000_000 + 600_000));
        assert!(arrivals.rates(Duration::from_secs(90)).requests_per_s < 0.05);
        arrivals.advance(Timestamp::from_millis(u64::MAX / 1_000));
        assert_eq!(arrivals.rates(Duration::ZERO), Rates::default());
    }

    #[test]
    fn absurd_work_and_clocks_that_are_set_back_are_no_matter() {
        let mut arrivals = after([u64::MAX; 40]);
        arrivals.on(Timestamp::default(), work(u64::MAX));
        for ahead in [Duration::ZERO, Duration::MAX] {
            let rates = arrivals.rates(ahead);
            assert!(rates.tokens_per_s.is_finite() && rates.tokens_per_s >= 0.0, "{rates:?}");
        }
    }
}
