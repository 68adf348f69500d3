//! How long one engine step takes, from the tokens it computes.
//!
//! A step decodes one token for each running sequence and prefills a chunk of uncached prompt tokens beside them:
//! `decode(batch) + context beyond the measured one + prefill overhead + prefill tokens x cost`, in whole microseconds,
//! as [`tidegate_core::time::Timestamp`] counts them.

use std::time::Duration;

/// What one step computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepLoad {
    /// Sequences that decode one token.
    pub decoding: u32,
    /// Tokens of context that those sequences attend to, summed.
    pub decode_context_tokens: u64,
    /// Uncached prompt tokens that are computed.
    pub prefill_tokens: u32,
}

/// The costs that make up a step.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeModel {
    /// Decode steps as measured: (batch, microseconds), ascending in batch. Between them, and beyond the last, linear.
    pub decode_steps_us: &'static [(u32, u32)],
    /// Context per sequence at which `decode_steps_us` was measured, in tokens; included there.
    pub measured_context_tokens: u32,
    /// Reading one token of context beyond the measured one, in nanoseconds.
    pub context_token_ns: u32,
    /// Fixed cost of a step that prefills, in microseconds.
    pub prefill_overhead_us: u32,
    /// Computing one prompt token, in nanoseconds.
    pub prefill_token_ns: u32,
}

impl TimeModel {
    /// Every step takes no time at all.
    pub const INSTANT: Self = Self {
        decode_steps_us: &[(1, 0)],
        measured_context_tokens: 0,
        context_token_ns: 0,
        prefill_overhead_us: 0,
        prefill_token_ns: 0,
    };

    /// How long a step with this load takes: whole microseconds, rounded up, so that no step with a cost is free.
    #[must_use]
    pub fn step(&self, load: StepLoad) -> Duration {
        let nanoseconds = self.decode_ns(load) + self.prefill_ns(load.prefill_tokens);
        Duration::from_micros(nanoseconds.div_ceil(1_000))
    }

    fn decode_ns(&self, load: StepLoad) -> u64 {
        if load.decoding == 0 {
            return 0;
        }
        let measured = u64::from(self.measured_context_tokens) * u64::from(load.decoding);
        let beyond = load.decode_context_tokens.saturating_sub(measured);
        decode_step_us(self.decode_steps_us, load.decoding) * 1_000 + beyond * u64::from(self.context_token_ns)
    }

    fn prefill_ns(&self, tokens: u32) -> u64 {
        if tokens == 0 {
            return 0;
        }
        u64::from(self.prefill_overhead_us) * 1_000 + u64::from(tokens) * u64::from(self.prefill_token_ns)
    }
}

/// Linear between the measured batches; the slope of the last two beyond them.
fn decode_step_us(measured: &[(u32, u32)], batch: u32) -> u64 {
    let above = measured.iter().position(|&(size, _)| size >= batch);
    let (low, high) = match above {
        Some(0) | None if measured.len() < 2 => return measured.first().map_or(0, |&(_, us)| u64::from(us)),
        Some(0) => return u64::from(measured[0].1),
        Some(index) => (measured[index - 1], measured[index]),
        None => (measured[measured.len() - 2], measured[measured.len() - 1]),
    };
    let slope = f64::from(high.1.saturating_sub(low.1)) / f64::from(high.0 - low.0);
    (f64::from(low.1) + slope * f64::from(batch - low.0)).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: TimeModel = TimeModel {
        decode_steps_us: &[(1, 29_000), (32, 37_000), (64, 52_000)],
        measured_context_tokens: 500,
        context_token_ns: 40,
        prefill_overhead_us: 12_000,
        prefill_token_ns: 115_000,
    };

    fn decode_us(decoding: u32, context: u64) -> u128 {
        MODEL
            .step(StepLoad {
                decoding,
                decode_context_tokens: context,
                prefill_tokens: 0,
            })
            .as_micros()
    }

    #[test]
    fn the_measured_batches_are_met_and_the_rest_lies_between_or_beyond() {
        assert_eq!(decode_us(1, 500), 29_000);
        assert_eq!(decode_us(32, 16_000), 37_000);
        assert_eq!(decode_us(64, 32_000), 52_000);
        assert!((37_001..52_000).contains(&decode_us(48, 24_000)));
        assert_eq!(decode_us(128, 64_000), 82_000);
    }

    #[test]
    fn context_beyond_the_measured_one_costs() {
        assert_eq!(decode_us(1, 100_500), 33_000);
        assert_eq!(decode_us(1, 10), 29_000);
        assert_eq!(decode_us(1, 501), 29_001, "40 ns more, in whole microseconds");
    }

    #[test]
    fn prefill_shares_the_step_with_decode() {
        let both = MODEL.step(StepLoad {
            decoding: 1,
            decode_context_tokens: 500,
            prefill_tokens: 1_000,
        });
        assert_eq!(both, Duration::from_micros(29_000 + 12_000 + 115_000));
        assert_eq!(MODEL.step(StepLoad::default()), Duration::ZERO);
    }
}
