//! What all requests to one engine share.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::driver::Driver;
use super::error::ApiError;
use super::faults::{DrawnFaults, FaultRules};
use super::options::EngineOptions;
use super::record::Records;
use crate::engine::sequence::Pace;
use crate::engine::timing::StepLoad;
use crate::language::tokenizer::{Tokenizer, TokenizerError};
use crate::language::tokens::{self, TokenId};

/// One engine behind HTTP.
#[derive(Debug)]
pub(super) struct Shared {
    pub options: EngineOptions,
    pub driver: Arc<Driver>,
    pub faults: FaultRules,
    pub records: Arc<Records>,
    /// Prompt and output of one request together, in tokens.
    pub context_tokens: u32,
    /// What prompts are made of tokens by, where that is not simulated.
    pub tokenizer: Option<Tokenizer>,
}

impl Shared {
    /// # Errors
    /// When the tokenizer that the options name cannot be used.
    pub fn new(options: EngineOptions) -> Result<Arc<Self>, TokenizerError> {
        let tokenizer = options.tokenizer.as_ref().map(Tokenizer::load).transpose()?;
        let driver = Driver::new(options.capacity(), options.time_scale);
        let context_tokens = driver.inspect(|engine, _| engine.capacity().context_tokens);
        let faults = FaultRules::new(options.seed);
        Ok(Arc::new(Self {
            options,
            driver,
            faults,
            records: Arc::default(),
            context_tokens,
            tokenizer,
        }))
    }

    /// The tokens of a text. Only a real tokenizer has tokens of its own to put around it.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Vec<TokenId> {
        match &self.tokenizer {
            Some(tokenizer) => tokenizer.encode(text, add_special_tokens),
            None => tokens::encode(text),
        }
    }

    /// The text of tokens.
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        match &self.tokenizer {
            Some(tokenizer) => tokenizer.decode(tokens),
            None => tokens::decode(tokens),
        }
    }

    /// A token as the vocabulary spells it.
    pub fn spelling(&self, token: TokenId) -> String {
        match &self.tokenizer {
            Some(tokenizer) => tokenizer.spelling(token).unwrap_or_default(),
            None => tokens::decode(&[token]),
        }
    }

    /// Whether there is such a token.
    pub fn is_token(&self, token: TokenId) -> bool {
        match &self.tokenizer {
            Some(tokenizer) => tokenizer.spelling(token).is_some(),
            None => tokens::is_token(token),
        }
    }

    /// The model that a request names, or the first one if it names none; an adapter is given back as such.
    pub fn find_model<'a>(&'a self, named: Option<&'a str>) -> Result<Model<'a>, ApiError> {
        let Some(name) = named else {
            return Ok(Model {
                name: &self.options.models[0],
                adapter: None,
            });
        };
        if self.options.models.iter().any(|model| model == name) {
            return Ok(Model { name, adapter: None });
        }
        if self.options.adapters.iter().any(|adapter| adapter == name) {
            return Ok(Model {
                name,
                adapter: Some(name),
            });
        }
        Err(ApiError::NoSuchModel { model: name.to_owned() })
    }

    /// How the faults of a request hold its sequences back. A slow token takes `factor` times what it takes an idle
    /// engine, or that many milliseconds where the profile takes nothing.
    /// A stall for good is one of the engine only where the client can tell: in a stream.
    pub fn pace(&self, drawn: &DrawnFaults, is_stream: bool) -> Pace {
        let load = StepLoad {
            decoding: 1,
            ..StepLoad::default()
        };
        let takes_no_time = self.options.time_scale == 0.0;
        let step = if takes_no_time {
            Duration::ZERO
        } else {
            self.options.capacity().time_model.step(load)
        };
        let token = if step.is_zero() { Duration::from_millis(1) } else { step };
        let token_gap = drawn
            .slow_factor()
            .map_or(Duration::ZERO, |factor| token.mul_f64(factor).saturating_sub(step));
        Pace {
            token_gap,
            stuck_after: drawn.stuck_after().filter(|_| is_stream),
        }
    }
}

/// A model that is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model<'a> {
    /// The name it was asked for by.
    pub name: &'a str,
    /// The adapter that the name stands for.
    pub adapter: Option<&'a str>,
}

/// Seconds since 1970, as `created` has them.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs())
}
