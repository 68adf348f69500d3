//! Which cells have lately kept their callers waiting for nothing: requests fail fast there, but for one that tries the
//! cell once in a while. It knows what callers tell it, and asks nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use super::id::CellId;
use crate::time::Timestamp;

/// The cells that are silent, each with the moment at which it is tried next: each by itself, or those of one kind as one, where
/// `K` is `()`.
#[derive(Debug)]
pub struct SilentCells<K = CellId>(BTreeMap<K, Timestamp>);

impl<K> Default for SilentCells<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Clone + Ord> SilentCells<K> {
    /// Whether a request may ask the cell now. Of a silent one, that is the attempt to reach it.
    pub fn may_ask(&mut self, now: Timestamp, cell: &K) -> bool {
        match self.0.get_mut(cell) {
            Some(next_try) if now < *next_try => false,
            Some(next_try) => {
                *next_try = now + TRY_EVERY;
                true
            }
            None => true,
        }
    }

    /// A call got its reply.
    pub fn on_reply(&mut self, cell: &K) {
        self.0.remove(cell);
    }

    /// A call waited in vain.
    pub fn on_silence(&mut self, now: Timestamp, cell: &K) {
        self.0.insert(cell.clone(), now + TRY_EVERY);
    }
}

/// As a budget's cell that does not answer is asked again: requests learn soon enough that it is back, and one in a
/// second waits in vain while it is not.
const TRY_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_silent_cell_is_tried_once_a_second_until_it_replies() {
        let mut silent = SilentCells::<CellId>::default();
        let (near, far) = (CellId::Cluster("near".into()), CellId::Cluster("far".into()));
        assert!(silent.may_ask(at(0), &near));
        silent.on_silence(at(1_000), &near);
        assert!(silent.may_ask(at(1_000), &far), "each is known by itself");
        assert!(!silent.may_ask(at(1_999), &near));
        assert!(silent.may_ask(at(2_000), &near), "one tries");
        assert!(!silent.may_ask(at(2_000), &near), "and no other meanwhile");
        assert!(silent.may_ask(at(3_000), &near), "who tried may never say how it went");
        silent.on_reply(&near);
        assert!(silent.may_ask(at(3_000), &near) && silent.may_ask(at(3_000), &near));
    }
}
