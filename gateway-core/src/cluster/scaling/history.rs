//! What was needed and advised before: what bounds how fast an advice changes.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The past of one cluster's advice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct History {
    /// What was needed, and when, as far as less has been needed ever since.
    needed: VecDeque<(Timestamp, u32)>,
    /// What was advised from when on; the last one holds.
    advised: VecDeque<(Timestamp, u32)>,
}

impl History {
    /// What was advised last.
    pub fn last(&self) -> Option<u32> {
        self.advised.back().map(|(_, replicas)| *replicas)
    }

    /// Nothing but what was advised last, for a cell that begins anew.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let last = self.last().map(|last| (Timestamp::default(), last));
        Self {
            advised: last.into_iter().collect(),
            ..Self::default()
        }
    }

    /// So many are there when the first advice is given; a cell that has begun anew takes it that its last one was needed
    /// until now.
    pub fn begin(&mut self, now: Timestamp, present: u32) {
        let last = self.last().unwrap_or(present);
        if self.needed.is_empty() {
            self.needed.push_back((now, last));
        }
        if self.advised.back().is_none_or(|(at, _)| *at == Timestamp::default()) {
            self.advised = VecDeque::from([(now, last)]);
        }
    }

    /// So many are needed now. Gives the most that were within that time.
    pub fn on_needed(&mut self, now: Timestamp, replicas: u32, within: Duration) -> u32 {
        while self.needed.len() > 1 && self.needed.front().is_some_and(|(at, _)| now.since(*at) > within) {
            self.needed.pop_front();
        }
        if self.needed.front().is_some_and(|(at, _)| now.since(*at) > within) {
            self.needed.clear();
        }
        while self.needed.back().is_some_and(|(_, less)| *less <= replicas) {
            self.needed.pop_back();
        }
        if self.needed.len() >= MOST_KEPT {
            self.needed.pop_back();
        }
        self.needed.push_back((now, replicas));
        self.needed.front().map_or(replicas, |(_, most)| *most)
    }

    /// The least and the most that were advised within the last [`STEP_EVERY`].
    pub fn advised_lately(&self, now: Timestamp) -> Option<(u32, u32)> {
        let holds_since = |index: usize| self.advised.get(index + 1).map_or(now, |(until, _)| *until);
        let lately = self.advised.iter().enumerate();
        let lately = lately.filter(|(index, _)| now.since(holds_since(*index)) < STEP_EVERY);
        let replicas = lately.map(|(_, (_, replicas))| *replicas);
        replicas.fold(None, |bounds, replicas| {
            let (least, most) = bounds.unwrap_or((replicas, replicas));
            Some((least.min(replicas), most.max(replicas)))
        })
    }

    /// So many are advised from now on.
    pub fn on_advised(&mut self, now: Timestamp, replicas: u32) {
        if self.last() == Some(replicas) {
            return;
        }
        let is_over = |next: Option<&(Timestamp, u32)>| next.is_some_and(|(at, _)| now.since(*at) >= STEP_EVERY);
        while is_over(self.advised.get(1)) || self.advised.len() >= MOST_KEPT {
            self.advised.pop_front();
        }
        self.advised.push_back((now, replicas));
    }
}

/// In so long an advice changes by one step at most.
pub(super) const STEP_EVERY: Duration = Duration::from_secs(60);
/// More changes than an advice makes within the times that count.
const MOST_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1_000)
    }

    #[test]
    fn the_most_that_was_needed_holds_for_its_time() {
        let mut history = History::default();
        let within = Duration::from_secs(300);
        for (seconds, needed, most) in [
            (0, 3, 3),
            (10, 7, 7),
            (20, 5, 7),
            (200, 4, 7),
            (310, 1, 7),
            (311, 1, 5),
            (321, 1, 4),
            (501, 1, 1),
            (5_000, 2, 2),
            (9_000, 1, 1),
        ] {
            let told = history.on_needed(at(seconds), needed, within);
            assert_eq!(told, most, "after {seconds} s");
        }
    }

    #[test]
    fn what_was_advised_lately_counts_from_when_it_held() {
        let mut history = History::default();
        assert_eq!(history.advised_lately(at(0)), None);
        history.on_advised(at(0), 4);
        history.on_advised(at(100), 8);
        assert_eq!(history.advised_lately(at(159)), Some((4, 8)));
        assert_eq!(history.advised_lately(at(160)), Some((8, 8)));
        assert_eq!(history.advised_lately(at(100_000)), Some((8, 8)), "it still holds");
    }

    #[test]
    fn a_cell_that_begins_anew_goes_on_from_its_last_advice() {
        let mut history = History::default();
        history.on_advised(at(0), 6);
        let mut anew = history.lasting();
        anew.begin(at(1_000), 1);
        assert_eq!(anew.on_needed(at(1_000), 1, Duration::from_secs(300)), 6);
        assert_eq!(anew.advised_lately(at(1_010)), Some((6, 6)));
        let mut first = History::default();
        first.begin(at(0), 3);
        assert_eq!(first.last(), Some(3));
    }
}
