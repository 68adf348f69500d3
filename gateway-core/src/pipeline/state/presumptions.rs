//! How far presumptions of warm prefixes hold, as this process, isolate or instance has learned it.

use std::sync::{Mutex, PoisonError};

use crate::prefix::Presumptions;

/// What is known of them.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct SharedPresumptions(Mutex<Presumptions>);

impl SharedPresumptions {
    /// Looks at what is known, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut Presumptions) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
