//! The lease books of this process, isolate or instance.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::budget::{LeaseCache, LeaseholderId};
use crate::ids::BudgetId;
use crate::platform::Platform;

/// LeaseCaches by budget. Their number is that of the configuration's budgets.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct LeaseCaches(Mutex<BTreeMap<BudgetId, Arc<SharedLeaseCache>>>);

/// A book that requests share.
#[derive(Debug)]
pub(in crate::pipeline) struct SharedLeaseCache {
    pub book: Mutex<LeaseCache>,
    /// Whether somebody waits to give back what it holds when it is idle.
    pub is_watched: AtomicBool,
}

impl LeaseCaches {
    /// The book of a budget.
    pub fn of<P: Platform>(&self, platform: &P, budget: &BudgetId) -> Arc<SharedLeaseCache> {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        books.get(budget).cloned().unwrap_or_else(|| {
            let book = Arc::new(SharedLeaseCache {
                book: Mutex::new(LeaseCache::new(LeaseholderId(platform.random()), platform.now())),
                is_watched: AtomicBool::new(false),
            });
            books.insert(budget.clone(), Arc::clone(&book));
            book
        })
    }
}
