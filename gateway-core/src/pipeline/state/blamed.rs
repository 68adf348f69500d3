//! The requests at which engines fail, as this process, isolate or instance remembers them.

use std::sync::{Mutex, OnceLock, PoisonError};

use siphasher::sip::SipHasher13;

use crate::ids::ClusterName;
use crate::ladder::BlamedRequests;
use crate::platform::Platform;

/// What is remembered, and the key by which requests are hashed.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Blamed {
    requests: Mutex<BlamedRequests>,
    key: OnceLock<(u64, u64)>,
}

impl Blamed {
    /// Looks at what is remembered, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut BlamedRequests) -> T) -> T {
        work(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The cluster serves a request.
    pub fn on_served(&self, cluster: &ClusterName) {
        self.with(|requests| requests.on_served(cluster));
    }

    /// A hasher that nobody outside can foresee.
    pub fn hasher<P: Platform>(&self, platform: &P) -> SipHasher13 {
        let (k0, k1) = *self.key.get_or_init(|| (platform.random(), platform.random()));
        SipHasher13::new_with_keys(k0, k1)
    }
}
