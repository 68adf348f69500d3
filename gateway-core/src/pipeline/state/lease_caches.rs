//! The lease caches of this process, isolate or instance.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::budget::{LeaseCache, LeaseholderId};
use crate::ids::BudgetId;
use crate::platform::Platform;

/// LeaseCaches by budget. Their number is that of the configuration's budgets.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct LeaseCaches(Mutex<BTreeMap<BudgetId, Arc<SharedLeaseCache>>>);

/// A cache that requests share.
#[derive(Debug)]
pub(in crate::pipeline) struct SharedLeaseCache {
    pub cache: Mutex<LeaseCache>,
    /// Whether somebody waits to give back what it holds when it is idle.
    pub is_watched: AtomicBool,
}

impl LeaseCaches {
    /// The cache of a budget.
    pub fn of<P: Platform>(&self, platform: &P, budget: &BudgetId) -> Arc<SharedLeaseCache> {
        let mut caches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        caches.get(budget).cloned().unwrap_or_else(|| {
            let cache = Arc::new(SharedLeaseCache {
                cache: Mutex::new(LeaseCache::new(LeaseholderId(platform.random()), platform.now())),
                is_watched: AtomicBool::new(false),
            });
            caches.insert(budget.clone(), Arc::clone(&cache));
            cache
        })
    }
}
