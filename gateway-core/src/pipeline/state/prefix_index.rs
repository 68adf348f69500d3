//! The rows of the prefix index that this process, isolate or instance remembers.

use std::sync::{Mutex, PoisonError};

use crate::prefix::index::IndexMemory;

/// What is remembered.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct PrefixIndex(Mutex<IndexMemory>);

impl PrefixIndex {
    /// Looks at what is remembered, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut IndexMemory) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
