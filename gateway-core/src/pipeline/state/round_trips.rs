//! Round trips to clusters, as this process, isolate or instance has learned them.

use std::sync::{Mutex, PoisonError};

use crate::route::RoundTrips;

/// What is known of them.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct SharedRoundTrips(Mutex<RoundTrips>);

impl SharedRoundTrips {
    /// Looks at what is known, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut RoundTrips) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
