//! The cells that have lately not answered this process, isolate or instance.

use std::sync::{Mutex, PoisonError};

use crate::cells::SilentCells;

/// What is known of them.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct SharedSilentCells(Mutex<SilentCells>);

impl SharedSilentCells {
    /// Looks at what is known, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut SilentCells) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
