//! The permits that this process, isolate or instance keeps, by cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cluster::PermitCache;
use crate::ids::ClusterName;

/// Permit caches by cluster. Their number is that of the configuration's clusters.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct PermitCaches(Mutex<BTreeMap<ClusterName, Arc<Mutex<PermitCache>>>>);

impl PermitCaches {
    /// The cache of a cluster.
    pub fn of(&self, cluster: &ClusterName) -> Arc<Mutex<PermitCache>> {
        let mut caches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match caches.get(cluster) {
            Some(cache) => Arc::clone(cache),
            None => Arc::clone(caches.entry(cluster.clone()).or_default()),
        }
    }
}
