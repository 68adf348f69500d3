//! A process of an edge location, from its start to its death: what is its own in the world.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::random::Random;

/// Which process, in the order of their starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub u64);

/// What belongs to one process.
#[derive(Debug)]
pub(crate) struct Process {
    pub id: ProcessId,
    /// How far its clock is ahead of the world's.
    pub ahead: Cell<Duration>,
    pub is_dead: Cell<bool>,
    /// Whether it is noted that one of its tasks has run.
    pub is_active: Cell<bool>,
    pub random: RefCell<Random>,
}

impl Process {
    pub fn new(id: ProcessId, seed: u64, ahead: Duration) -> Self {
        Self {
            id,
            ahead: Cell::new(ahead),
            is_dead: Cell::new(false),
            is_active: Cell::new(false),
            random: RefCell::new(Random::of(seed, id.0)),
        }
    }
}
