//! Which hardware and model a simulated engine stands for.
//!
//! The two 70B profiles are fitted to the Splitwise measurements of Llama-2-70B on H100 (`splitwise_perf_model.csv`,
//! medians, microseconds per decode step at 512-token prompts; milliseconds per prefill):
//!
//! | | decode batch 1 | 32 | 64 | prefill 512 | 1,024 | 2,048 | 4,096 | 8,192 tokens |
//! |---|---|---|---|---|---|---|---|---|
//! | 4 GPUs | 29,400 | 36,900 | 52,400 | 68 | 123 | 231 | 540 | 1,068 |
//! | 8 GPUs | 29,700 | 38,600 | 50,200 | 62 | 90 | 157 | 419 | 976 |
//!
//! 8B on one H100: 27k prefill tokens/s; decode steps from reading 16 GB of weights at some 2 TB/s. Reading context:
//! bytes of `kv_cache` per token (8B 128 KB, 70B 320 KB) over the memory bandwidth that decoding reaches.

use std::fmt;
use std::str::FromStr;

use super::timing::TimeModel;

/// A calibrated engine; parse one from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// An 8B model on one H100.
    H100x1With8b,
    /// A 70B model on four H100.
    H100x4With70b,
    /// A 70B model on eight H100.
    H100x8With70b,
    /// Milliseconds instead of tens of them, and a small `kv_cache`: for demonstrations and tests of behaviour under load.
    Fast,
    /// No delays and room for everything: for benchmarks and contract tests.
    Instant,
}

/// What a replica can do; a profile's figures, or the operator's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// Cost of a step.
    pub time_model: TimeModel,
    /// `kv_cache`, in tokens; used in blocks of 16.
    pub kv_cache_tokens: u32,
    /// Prompt and output of one request together, in tokens.
    pub context_tokens: u32,
    /// Most sequences in one batch (vLLM's `--max-num-seqs`).
    pub max_running: u32,
    /// Most tokens computed in one step (vLLM's `--max-num-batched-tokens`): the size of a prefill chunk.
    pub max_step_tokens: u32,
}

impl Profile {
    /// Every profile, in the order in which help lists them.
    pub const ALL: [Self; 5] = [
        Self::H100x1With8b,
        Self::H100x4With70b,
        Self::H100x8With70b,
        Self::Fast,
        Self::Instant,
    ];

    /// The name by which it is asked for.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H100x1With8b => "h100-8b",
            Self::H100x4With70b => "h100x4-70b",
            Self::H100x8With70b => "h100x8-70b",
            Self::Fast => "fast",
            Self::Instant => "instant",
        }
    }

    /// The figures it stands for.
    #[must_use]
    pub const fn capacity(self) -> Capacity {
        match self {
            Self::H100x1With8b => h100_8b(),
            Self::H100x4With70b => h100x4_70b(),
            Self::H100x8With70b => h100x8_70b(),
            Self::Fast => fast(),
            Self::Instant => instant(),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The name is none of a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile {name:?}; the profiles are {}", Profile::ALL.map(Profile::name).join(", "))]
pub struct UnknownProfile {
    /// What was asked for.
    pub name: String,
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == name)
            .ok_or_else(|| UnknownProfile { name: name.to_owned() })
    }
}

const fn h100_8b() -> Capacity {
    Capacity {
        time_model: TimeModel {
            decode_steps_us: &[(1, 8_000), (64, 11_000), (256, 20_000)],
            measured_context_tokens: 576,
            context_token_ns: 64,
            prefill_overhead_us: 4_000,
            prefill_token_ns: 37_000,
        },
        kv_cache_tokens: 500_000,
        context_tokens: 131_072,
        max_running: 256,
        max_step_tokens: 8_192,
    }
}

const fn h100x4_70b() -> Capacity {
    Capacity {
        time_model: TimeModel {
            decode_steps_us: &[(1, 29_400), (32, 36_900), (64, 52_400)],
            measured_context_tokens: 576,
            context_token_ns: 40,
            prefill_overhead_us: 12_000,
            prefill_token_ns: 115_000,
        },
        kv_cache_tokens: 461_000,
        context_tokens: 131_072,
        max_running: 256,
        max_step_tokens: 8_192,
    }
}

const fn h100x8_70b() -> Capacity {
    Capacity {
        time_model: TimeModel {
            decode_steps_us: &[(1, 29_700), (32, 38_600), (64, 50_200)],
            measured_context_tokens: 576,
            context_token_ns: 20,
            prefill_overhead_us: 20_000,
            prefill_token_ns: 85_000,
        },
        // Eight GPUs hold one copy of the weights (140 GB), so more than twice the room of four.
        kv_cache_tokens: 1_300_000,
        context_tokens: 131_072,
        max_running: 256,
        max_step_tokens: 8_192,
    }
}

const fn fast() -> Capacity {
    Capacity {
        time_model: TimeModel {
            decode_steps_us: &[(1, 2_000), (32, 4_000)],
            measured_context_tokens: 576,
            context_token_ns: 2,
            prefill_overhead_us: 1_000,
            prefill_token_ns: 2_000,
        },
        kv_cache_tokens: 65_536,
        context_tokens: 32_768,
        max_running: 32,
        max_step_tokens: 2_048,
    }
}

const fn instant() -> Capacity {
    Capacity {
        time_model: TimeModel::INSTANT,
        kv_cache_tokens: 1 << 21,
        context_tokens: 131_072,
        max_running: 1_024,
        max_step_tokens: 1 << 20,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::timing::StepLoad;

    #[test]
    fn every_profile_is_found_by_its_name_and_a_wrong_name_lists_them() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        let error = "h200".parse::<Profile>().unwrap_err().to_string();
        assert!(
            error.contains("\"h200\"") && error.contains("h100x4-70b") && error.contains("instant"),
            "{error}"
        );
    }

    #[test]
    fn prefill_lies_within_a_fifth_of_the_measured_times() {
        let measured_ms = [(512, 68), (1_024, 123), (2_048, 231), (4_096, 540), (8_192, 1_068)];
        let model = Profile::H100x4With70b.capacity().time_model;
        for (tokens, expected_ms) in measured_ms {
            let step = model.step(StepLoad {
                prefill_tokens: tokens,
                ..StepLoad::default()
            });
            let ratio = step.as_secs_f64() / Duration::from_millis(expected_ms).as_secs_f64();
            assert!((0.8..1.2).contains(&ratio), "{tokens} tokens: {step:?}, {ratio}");
        }
    }

    #[test]
    fn one_request_always_fits() {
        for profile in Profile::ALL {
            let capacity = profile.capacity();
            assert!(capacity.context_tokens <= capacity.kv_cache_tokens, "{profile}");
        }
    }
}
