//! Whether the store does what it is there for, from how it was asked last. It never asks.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::observe::StoreAccess;

/// How the store does.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct StoreHealth {
    reads_fail: AtomicBool,
    writes_fail: AtomicBool,
}

impl StoreHealth {
    /// It was asked: whether it did what it should. Tells whether that is news.
    pub fn on_done(&self, access: StoreAccess, is_done: bool) -> bool {
        self.of(access).swap(!is_done, Ordering::Relaxed) == is_done
    }

    /// What it does not do, if anything.
    pub fn failing(&self) -> Option<StoreAccess> {
        StoreAccess::ALL
            .into_iter()
            .find(|access| self.of(*access).load(Ordering::Relaxed))
    }

    fn of(&self, access: StoreAccess) -> &AtomicBool {
        match access {
            StoreAccess::Read => &self.reads_fail,
            StoreAccess::Write => &self.writes_fail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_what_changes_and_reads_say_nothing_of_writes() {
        let store = StoreHealth::default();
        assert!(!store.on_done(StoreAccess::Write, true), "it is expected to work");
        assert!(store.on_done(StoreAccess::Write, false));
        assert!(!store.on_done(StoreAccess::Write, false));
        assert!(!store.on_done(StoreAccess::Read, true));
        assert_eq!(store.failing(), Some(StoreAccess::Write));
        assert!(store.on_done(StoreAccess::Write, true));
        assert_eq!(store.failing(), None);
    }
}
