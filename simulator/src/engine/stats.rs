//! What an engine counts, under the meanings that vLLM's metrics have. Rendering is someone else's.

use std::time::Duration;

/// Counts of values up to each bound, and their sum.
#[derive(Debug, Clone)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One count per bound, not cumulative, and one for what lies beyond them.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    fn on_value(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    fn on_duration(&mut self, duration: Duration) {
        self.on_value(duration.as_secs_f64());
    }

    /// Each bound with the count of values up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut seen = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            seen += count;
            (*bound, seen)
        })
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All values summed.
    #[must_use]
    pub const fn sum(&self) -> f64 {
        self.sum
    }
}

/// Figures since the engine was made.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Prompt tokens admitted, cached or not.
    pub prompt_tokens: u64,
    /// Output tokens given out.
    pub generation_tokens: u64,
    /// Prompt tokens looked up in the prefix cache.
    pub prefix_cache_queries: u64,
    /// Prompt tokens found there.
    pub prefix_cache_hits: u64,
    /// Sequences that left the batch because the `kv_cache` ran out.
    pub preemptions: u64,
    /// Sequences taken out before their end.
    pub aborted: u64,
    /// Arrival to first token, in seconds.
    pub time_to_first_token: Histogram,
    /// Between two tokens of a sequence, in seconds.
    pub inter_token_latency: Histogram,
    /// Arrival to last token, in seconds.
    pub e2e_request_latency: Histogram,
    /// Arrival to the first admission into a batch, in seconds.
    pub request_queue_time: Histogram,
    /// First admission into a batch to first token, in seconds.
    pub request_prefill_time: Histogram,
    /// First to last token, in seconds.
    pub request_decode_time: Histogram,
    /// Prompt tokens per finished sequence.
    pub request_prompt_tokens: Histogram,
    /// Output tokens per finished sequence.
    pub request_generation_tokens: Histogram,
    /// Tokens computed per step.
    pub iteration_tokens: Histogram,
}

/// When the parts of a finished sequence's life took place.
pub(super) struct Lifetime {
    pub queued: Duration,
    pub prefill: Duration,
    pub decode: Duration,
    pub prompt_tokens: u32,
    pub output_tokens: u32,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            prompt_tokens: 0,
            generation_tokens: 0,
            prefix_cache_queries: 0,
            prefix_cache_hits: 0,
            preemptions: 0,
            aborted: 0,
            time_to_first_token: Histogram::new(FIRST_TOKEN_SECONDS),
            inter_token_latency: Histogram::new(BETWEEN_TOKENS_SECONDS),
            e2e_request_latency: Histogram::new(REQUEST_SECONDS),
            request_queue_time: Histogram::new(REQUEST_SECONDS),
            request_prefill_time: Histogram::new(REQUEST_SECONDS),
            request_decode_time: Histogram::new(REQUEST_SECONDS),
            request_prompt_tokens: Histogram::new(REQUEST_TOKENS),
            request_generation_tokens: Histogram::new(REQUEST_TOKENS),
            iteration_tokens: Histogram::new(STEP_TOKENS),
        }
    }
}

impl Stats {
    /// A prompt enters a batch for the first time.
    pub(super) fn on_prefix_lookup(&mut self, looked_up: u32, found: u32) {
        self.prompt_tokens += u64::from(looked_up);
        self.prefix_cache_queries += u64::from(looked_up);
        self.prefix_cache_hits += u64::from(found);
    }

    pub(super) fn on_step(&mut self, tokens: u32) {
        self.iteration_tokens.on_value(f64::from(tokens));
    }

    pub(super) fn on_first_token(&mut self, since_arrival: Duration) {
        self.generation_tokens += 1;
        self.time_to_first_token.on_duration(since_arrival);
    }

    pub(super) fn on_next_token(&mut self, since_last: Duration) {
        self.generation_tokens += 1;
        self.inter_token_latency.on_duration(since_last);
    }

    pub(super) fn on_finished(&mut self, lifetime: &Lifetime) {
        self.e2e_request_latency
            .on_duration(lifetime.queued + lifetime.prefill + lifetime.decode);
        self.request_queue_time.on_duration(lifetime.queued);
        self.request_prefill_time.on_duration(lifetime.prefill);
        self.request_decode_time.on_duration(lifetime.decode);
        self.request_prompt_tokens.on_value(f64::from(lifetime.prompt_tokens));
        self.request_generation_tokens
            .on_value(f64::from(lifetime.output_tokens));
    }
}

/// Buckets as in vLLM's `v1/metrics/loggers.py`.
const FIRST_TOKEN_SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
];
const BETWEEN_TOKENS_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
];
const REQUEST_SECONDS: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
];
const REQUEST_TOKENS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0,
    100_000.0,
];
const STEP_TOKENS: &[f64] = &[
    1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0, 8_192.0, 16_384.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_up_to_its_bound_and_beyond_the_last() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 9.0] {
            histogram.on_value(value);
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(1.0, 2), (2.0, 3)]);
        assert_eq!(histogram.count(), 4);
        assert!((histogram.sum() - 12.0).abs() < 1e-9);
    }
}
