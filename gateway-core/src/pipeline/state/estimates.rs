//! What this process knows of the estimates for models without a table: the corrections that the models' cells hold,
//! and reports that have not gone there yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::ids::ModelName;
use crate::time::Timestamp;
use crate::tokens::{Correction, Observed};

/// Corrections by model. Their number is that of the configuration's models.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Estimates(Mutex<BTreeMap<ModelName, ModelEstimate>>);

/// What is known of one model's.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct ModelEstimate {
    pub correction: Correction,
    /// Reports that the cell has not been told.
    pub pending: Observed,
    /// When the cell was last asked.
    pub asked: Option<Timestamp>,
}

impl Estimates {
    /// Looks at what is known of a model's estimate, or changes it.
    pub fn with<T>(&self, model: &ModelName, work: impl FnOnce(&mut ModelEstimate) -> T) -> T {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match models.get_mut(model) {
            Some(known) => work(known),
            None => work(models.entry(model.clone()).or_default()),
        }
    }
}
