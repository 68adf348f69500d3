//! The lease caches of this process, isolate or instance.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::budget::{LeaseCache, LeaseholderId};
use crate::ids::BudgetId;
use crate::platform::Platform;

/// Lease caches by budget. Their number is that of the configuration's budgets.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct LeaseCaches(Mutex<Caches>);

type Caches = BTreeMap<BudgetId, Arc<SharedLeaseCache>>;

/// A cache that requests share.
#[derive(Debug)]
pub(in crate::pipeline) struct SharedLeaseCache {
    cache: Mutex<LeaseCache>,
    /// Whether somebody waits to give back what it holds when it is idle.
    pub is_watched: AtomicBool,
}

impl LeaseCaches {
    /// The cache of a budget.
    pub fn of<P: Platform>(&self, platform: &P, budget: &BudgetId) -> Arc<SharedLeaseCache> {
        if let Some(cache) = self.get(budget) {
            return cache;
        }
        // The platform is never called under a lock.
        let new = LeaseCache::new(LeaseholderId(platform.random()), platform.now());
        let mut caches = self.lock();
        let cache = caches.entry(budget.clone()).or_insert_with(|| {
            Arc::new(SharedLeaseCache {
                cache: Mutex::new(new),
                is_watched: AtomicBool::new(false),
            })
        });
        Arc::clone(cache)
    }

    /// The cache of a budget that requests have asked for.
    pub fn get(&self, budget: &BudgetId) -> Option<Arc<SharedLeaseCache>> {
        self.lock().get(budget).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Caches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedLeaseCache {
    /// Looks at the cache, or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut LeaseCache) -> T) -> T {
        work(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
