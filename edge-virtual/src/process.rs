//! A process of an edge location, from its start to its death: what is its own in the world.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tidegate_core::time::Timestamp;
use tidegate_core::timeline::Timeline;

use crate::random::Random;
use crate::skew::Skew;

/// Which process, in the order of their starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub u64);

/// What belongs to one process.
#[derive(Debug)]
pub(crate) struct Process {
    pub id: ProcessId,
    /// Its wall clock.
    pub wall: Skew,
    /// Its time, which follows that: there is no steadier one on some runtimes.
    time: Cell<Option<Timeline>>,
    pub is_dead: Cell<bool>,
    /// Whether it is noted that one of its tasks has run.
    pub is_active: Cell<bool>,
    pub random: RefCell<Random>,
}

impl Process {
    pub fn new(id: ProcessId, seed: u64, ahead: Duration) -> Self {
        Self {
            id,
            wall: Skew::ahead(ahead),
            time: Cell::default(),
            is_dead: Cell::new(false),
            is_active: Cell::new(false),
            random: RefCell::new(Random::of(seed, id.0)),
        }
    }

    /// Its time, at that true moment.
    pub fn now(&self, now: Timestamp) -> Timestamp {
        let wall = self.wall.read(now);
        let mut time = self.time.get().unwrap_or_else(|| Timeline::new(wall, wall));
        let now = time.read(wall);
        self.time.set(Some(time));
        now
    }
}
