//! What is told about a load.

use std::time::Duration;

use serde_json::{Value, json};

/// How long one answer took.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the request's first byte to the body's first byte.
    pub first_byte: Duration,
    /// From the request's first byte to the body's last byte.
    pub whole: Duration,
}

/// How a load was answered; every answer was a success.
#[derive(Debug)]
pub struct Report {
    first_byte_us: Vec<u64>,
    whole_us: Vec<u64>,
    took: Duration,
}

impl Report {
    /// Of all answers, which took this long together.
    pub fn new(timings: Vec<Timing>, took: Duration) -> Self {
        let sorted = |part: fn(&Timing) -> Duration| {
            let mut all: Vec<u64> = timings.iter().map(|timing| part(timing).as_micros() as u64).collect();
            all.sort_unstable();
            all
        };
        Self {
            first_byte_us: sorted(|timing| timing.first_byte),
            whole_us: sorted(|timing| timing.whole),
            took,
        }
    }

    /// One JSON object.
    pub fn to_json(&self) -> Value {
        let answers = self.whole_us.len();
        json!({
            "answers": answers,
            "per_s": answers as f64 / self.took.as_secs_f64(),
            "first_byte_us_p50": percentile(&self.first_byte_us, 0.50),
            "us_p50": percentile(&self.whole_us, 0.50),
            "us_p99": percentile(&self.whole_us, 0.99),
        })
    }
}

/// The nearest-rank percentile; 0 of nothing.
pub fn percentile(sorted: &[u64], share: f64) -> u64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| percentile(&hundred, share)), [50, 99, 100]);
        assert_eq!(percentile(&[7], 0.5), 7);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
