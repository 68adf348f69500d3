//! The permits that this process, isolate or instance keeps, by cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cluster::PermitCache;
use crate::ids::ClusterName;

/// LeaseCaches by cluster. Their number is that of the configuration's clusters.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct PermitCaches(Mutex<BTreeMap<ClusterName, Arc<Mutex<PermitCache>>>>);

impl PermitCaches {
    /// The book of a cluster.
    pub fn of(&self, cluster: &ClusterName) -> Arc<Mutex<PermitCache>> {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match books.get(cluster) {
            Some(book) => Arc::clone(book),
            None => Arc::clone(books.entry(cluster.clone()).or_default()),
        }
    }
}
