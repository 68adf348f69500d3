//! What all requests of this process, isolate or instance learn together.

use std::sync::{Mutex, PoisonError};

/// One thing that is known here; nobody holds it across a wait.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Shared<T>(Mutex<T>);

impl<T> Shared<T> {
    /// Looks at what is known, or changes it.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
