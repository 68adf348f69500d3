//! What the operator chooses for a simulated engine, and what the server makes of it.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use crate::engine::profile::{Capacity, Profile};
use crate::language::tokenizer::TokenizerFiles;

/// A simulated engine, as asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names under which the model is served; the first one labels the metrics.
    pub models: Vec<String>,
    /// LoRA adapters, served like models beside the base model.
    pub adapters: Vec<String>,
    /// Which hardware and model it stands for.
    pub profile: Profile,
    /// Engines with equal seeds give equal answers.
    pub seed: u64,
    /// Every duration is multiplied by this: 0.1 is ten times as fast as the profile, 0 takes no time.
    pub time_scale: f64,
    /// Bearer token that `/v1` requires, as with vLLM's `--api-key`.
    pub api_key: Option<String>,
    /// Instead of the profile's `kv_cache`, in tokens.
    pub kv_cache_tokens: Option<u32>,
    /// Instead of the profile's context, in tokens (vLLM's `--max-model-len`).
    pub context_tokens: Option<u32>,
    /// Instead of the profile's largest batch (vLLM's `--max-num-seqs`).
    pub max_running: Option<u32>,
    /// Tokens in one event of a stream, behind the first one, which has an event of its own (vLLM's `--stream-interval`).
    pub stream_interval: NonZeroU32,
    /// A real tokenizer for prompts, in place of the simulated tokens. Answers stay simulated.
    pub tokenizer: Option<TokenizerFiles>,
}

impl EngineOptions {
    /// One model, and everything else as the profile says.
    #[must_use]
    pub fn new(listen: SocketAddr, model: impl Into<String>, profile: Profile, seed: u64) -> Self {
        Self {
            listen,
            models: vec![model.into()],
            adapters: Vec::new(),
            profile,
            seed,
            time_scale: 1.0,
            api_key: None,
            kv_cache_tokens: None,
            context_tokens: None,
            max_running: None,
            stream_interval: NonZeroU32::MIN,
            tokenizer: None,
        }
    }

    /// The profile's figures with the operator's own in their place.
    pub(super) fn capacity(&self) -> Capacity {
        let profile = self.profile.capacity();
        Capacity {
            kv_cache_tokens: self.kv_cache_tokens.unwrap_or(profile.kv_cache_tokens),
            context_tokens: self.context_tokens.unwrap_or(profile.context_tokens),
            max_running: self.max_running.unwrap_or(profile.max_running),
            ..profile
        }
    }

    pub(super) fn check(&self) -> Result<(), OptionsError> {
        if self.models.is_empty() {
            return Err(OptionsError::NoModel);
        }
        if !(0.0..=1_000.0).contains(&self.time_scale) {
            return Err(OptionsError::TimeScale {
                time_scale: self.time_scale,
            });
        }
        if self.capacity().kv_cache_tokens < SMALLEST_KV_CACHE_TOKENS {
            return Err(OptionsError::KvCache {
                tokens: self.capacity().kv_cache_tokens,
            });
        }
        if self.capacity().max_running == 0 {
            return Err(OptionsError::NothingRuns);
        }
        Ok(())
    }
}

/// Less is no engine.
const SMALLEST_KV_CACHE_TOKENS: u32 = 64;

/// Options that make no engine.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// No model is named.
    #[error("name at least one model")]
    NoModel,
    /// The time scale is out of range.
    #[error("the time scale must be 0 to 1000, not {time_scale}")]
    TimeScale { time_scale: f64 },
    /// The cache is too small for any request.
    #[error("the kv_cache must hold at least {SMALLEST_KV_CACHE_TOKENS} tokens, not {tokens}")]
    KvCache { tokens: u32 },
    /// The batch has room for no request.
    #[error("at least one request must be able to run")]
    NothingRuns,
}
