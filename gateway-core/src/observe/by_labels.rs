//! Metrics of one name, told apart by labels. They are counted several times in every request, and found by comparing:
//! [`Family`] hashes labels, with a hash made for keys that an attacker chooses, which takes five times as long.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};

/// Metrics by labels.
#[derive(Debug)]
pub(super) struct ByLabels<L, M = Counter, C = fn() -> M> {
    family: Family<L, M, C>,
    /// Those that have been used, in order of labels.
    known: RwLock<Vec<(L, M)>>,
}

impl<L: Clone + Eq + Hash + Ord, M: Clone + Default> Default for ByLabels<L, M> {
    fn default() -> Self {
        Self::new(M::default)
    }
}

impl<L: Clone + Eq + Hash + Ord, M: Clone, C: MetricConstructor<M>> ByLabels<L, M, C> {
    /// None yet; `make` makes one.
    pub fn new(make: C) -> Self {
        Self {
            family: Family::new_with_constructor(make),
            known: RwLock::default(),
        }
    }

    /// Does something with the metric of these labels.
    pub fn with(&self, labels: &L, work: impl FnOnce(&M)) {
        let find = |known: &[(L, M)]| known.binary_search_by(|(known, _)| known.cmp(labels));
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Ok(index) = find(&known) {
            return work(&known[index].1);
        }
        drop(known);
        let metric = self.family.get_or_create(labels).clone();
        work(&metric);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been quicker.
        if let Err(index) = find(&known) {
            known.insert(index, (labels.clone(), metric));
        }
    }
}

impl<L: Clone + Eq + Hash + Ord> ByLabels<L> {
    /// Counts so many more.
    pub fn add(&self, labels: &L, count: u64) {
        self.with(labels, |counter| {
            counter.inc_by(count);
        });
    }
}

impl<L, M, C: Clone> ByLabels<L, M, C> {
    /// What to register.
    pub fn family(&self) -> Family<L, M, C> {
        self.family.clone()
    }
}
