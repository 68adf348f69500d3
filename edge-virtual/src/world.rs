//! The world: everything that processes share, and the loop that lets things happen.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tidegate_core::cells::{CellId, CellState};
use tidegate_core::time::Timestamp;

use crate::cells::{CellKind, Cells, Traffic};
use crate::clock::Clock;
use crate::engines::Engines;
use crate::executor::Executor;
use crate::link::Link;
use crate::platform::VirtualPlatform;
use crate::process::{Process, ProcessId};
use crate::random::Random;
use crate::store::Store;

/// A world. What runs in it ends when it is dropped.
pub struct World {
    state: Rc<WorldState>,
    seed: u64,
    started: u64,
}

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

impl World {
    /// The world of that seed, with these engines. It begins eleven and a half days after the Unix epoch.
    pub fn new(seed: u64, engines: Engines) -> Self {
        let state = WorldState {
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
        };
        Self {
            state: Rc::new(state),
            seed,
            started: 0,
        }
    }

    /// Starts a process, whose clock is so far ahead of the world's.
    pub fn start(&mut self, ahead: Duration) -> VirtualPlatform {
        let process = Rc::new(Process::new(ProcessId(self.started), self.seed, ahead));
        self.started += 1;
        VirtualPlatform {
            world: Rc::clone(&self.state),
            process,
        }
    }

    /// Lets those who are ready run in an order that the seed decides, not in the one in which they became ready.
    pub fn shuffle(&self) {
        self.state.executor.shuffle(Random::of(self.seed, ORDER));
    }

    /// Has tasks interrupted as those of a process with threads are: in that share, from 0 to 1, of the calls in which
    /// somebody asks a platform for the time or for randomness, another task runs to its next wait before the call
    /// returns.
    pub fn interrupt(&self, share: f64) {
        self.state.interruptions.borrow_mut().share = share;
    }

    /// What happens from now on to messages to and from cells of that kind.
    pub fn set_link(&self, kind: CellKind, link: Link) {
        self.state.cells.set_link(kind, link);
    }

    /// How many commands cells of that kind have been sent.
    pub fn commands_sent(&self, kind: CellKind) -> u64 {
        self.state.cells.sent(kind)
    }

    /// Has `watch` see all that passes between processes and cells, as it happens. It must not have anything pass itself.
    pub fn watch(&self, watch: impl Fn(&Traffic<'_>) + 'static) {
        self.state.cells.watch(watch);
    }

    /// Looks at a cell, or changes it.
    pub fn with_cell<T>(&self, id: &CellId, look: impl FnOnce(&mut CellState) -> T) -> T {
        self.state.cells.with(id, look)
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.state.store
    }

    /// The clock.
    pub fn clock(&self) -> Rc<Clock> {
        Rc::clone(&self.state.clock)
    }

    /// The true time.
    pub fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    /// Has something happen that is no process's.
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.state.executor.spawn(None, work);
    }

    /// Has `act` happen at random moments, so many in a second (a Poisson process), until it says `false`.
    pub fn at_random(&self, mut random: Random, per_second: f64, mut act: impl FnMut(&mut Random) -> bool + 'static) {
        if per_second <= 0.0 {
            return;
        }
        let clock = self.clock();
        self.spawn(async move {
            loop {
                clock.sleep(random.until_next(per_second)).await;
                if !act(&mut random) {
                    return;
                }
            }
        });
    }

    /// Lets everything happen that happens now.
    pub fn settle(&self) {
        while self.state.executor.run_one() {}
    }

    /// Moves the clock to the next moment at which something happens; `false` where nothing ever does again.
    pub fn advance(&self) -> bool {
        self.state.clock.advance()
    }

    /// Lets `future` come to its end; time passes as it must.
    ///
    /// # Panics
    /// When it never does.
    pub fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let done = Rc::new(RefCell::new(None));
        let result = Rc::clone(&done);
        self.spawn(async move {
            let value = future.await;
            *result.borrow_mut() = Some(value);
        });
        loop {
            self.settle();
            if let Some(value) = done.borrow_mut().take() {
                return value;
            }
            assert!(self.advance(), "nothing can ever happen again");
        }
    }

    /// Lets that much time pass.
    pub fn pass(&self, duration: Duration) {
        self.run(self.state.clock.sleep(duration));
    }

    /// Processes that live, of which a task has run since this was last asked.
    pub fn take_active(&self) -> Vec<ProcessId> {
        let active = self.state.executor.take_active();
        active.iter().map(|process| process.id).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.state.executor.end_all();
    }
}

impl WorldState {
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
const ORDER: u64 = u64::MAX - 1;
const INTERRUPTIONS: u64 = u64::MAX - 2;
