//! What all requests to one engine share.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::driver::Driver;
use super::error::ApiError;
use super::faults::FaultRules;
use super::options::EngineOptions;
use super::record::Records;
use crate::engine::timing::StepLoad;

/// One engine behind HTTP.
#[derive(Debug)]
pub(super) struct Shared {
    pub options: EngineOptions,
    pub driver: Arc<Driver>,
    pub faults: FaultRules,
    pub records: Arc<Records>,
    /// Prompt and output of one request together, in tokens.
    pub context_tokens: u32,
}

impl Shared {
    pub fn new(options: EngineOptions) -> Arc<Self> {
        let driver = Driver::new(options.capacity(), options.time_scale);
        let context_tokens = driver.inspect(|engine, _| engine.capacity().context_tokens);
        let faults = FaultRules::new(options.seed);
        Arc::new(Self {
            options,
            driver,
            faults,
            records: Arc::default(),
            context_tokens,
        })
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

    /// What a token takes an idle engine; a millisecond where the profile takes nothing. The measure of the slow fault.
    pub fn nominal_token_time(&self) -> Duration {
        let load = StepLoad {
            decoding: 1,
            ..StepLoad::default()
        };
        let scaled = self
            .options
            .capacity()
            .time_model
            .step(load)
            .mul_f64(self.options.time_scale);
        if scaled.is_zero() {
            Duration::from_millis(1)
        } else {
            scaled
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
