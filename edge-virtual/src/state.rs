//! Everything that processes of a world share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tidegate_core::time::Timestamp;

use crate::cells::Cells;
use crate::clock::Clock;
use crate::engines::Engines;
use crate::executor::Executor;
use crate::random::Random;
use crate::store::Store;

/// What processes share.
pub(crate) struct WorldState {
    pub clock: Rc<Clock>,
    pub executor: Executor,
    pub cells: Cells,
    pub store: Store,
    pub engines: Engines,
    /// What happens to messages.
    pub random: RefCell<Random>,
    interruptions: RefCell<Interruptions>,
    depth: Cell<u32>,
}

/// How often a task is interrupted within its own code, and by what randomness.
struct Interruptions {
    share: f64,
    random: Random,
}

impl WorldState {
    /// The state of a world that begins.
    pub fn new(seed: u64, engines: Engines) -> Self {
        Self {
            clock: Clock::new(Timestamp::from_millis(1_000_000_000)),
            executor: Executor::default(),
            cells: Cells::default(),
            store: Store::new(seed),
            engines,
            random: RefCell::new(Random::of(seed, MESSAGES)),
            interruptions: RefCell::new(Interruptions {
                share: 0.0,
                random: Random::of(seed, INTERRUPTIONS),
            }),
            depth: Cell::new(0),
        }
    }

    /// From now on tasks are interrupted in that share of calls.
    pub fn interrupt(&self, share: f64) {
        self.interruptions.borrow_mut().share = share;
    }

    /// Within a call of a process: another task may come in between.
    pub fn let_another_run(&self) {
        let is_interrupted = {
            let mut interruptions = self.interruptions.borrow_mut();
            let share = interruptions.share;
            interruptions.random.happens(share)
        };
        if is_interrupted && self.depth.get() < MOST_INTERRUPTED {
            self.depth.set(self.depth.get() + 1);
            self.executor.run_one();
            self.depth.set(self.depth.get() - 1);
        }
    }
}

/// How many tasks may stand still within their own code at once.
const MOST_INTERRUPTED: u32 = 8;
/// The numbers of sources of randomness that are no process's.
const MESSAGES: u64 = u64::MAX;
pub(crate) const ORDER: u64 = u64::MAX - 1;
const INTERRUPTIONS: u64 = u64::MAX - 2;
