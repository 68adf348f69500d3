//! The world as who runs it sees it: what is in it, what goes wrong, and the loop that lets things happen.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tidegate_core::cells::{CellId, TimedCell};
use tidegate_core::time::Timestamp;

use crate::cells::{CellKind, Traffic};
use crate::clock::Clock;
use crate::engines::Engines;
use crate::link::Link;
use crate::platform::VirtualPlatform;
use crate::process::{Process, ProcessId};
use crate::random::Random;
use crate::skew::Skew;
use crate::state::{ORDER, WorldState};
use crate::store::Store;

/// A world. What runs in it ends when it is dropped.
pub struct World {
    state: Rc<WorldState>,
    seed: u64,
    started: u64,
}

impl World {
    /// The world of that seed, with these engines. It begins eleven and a half days after the Unix epoch.
    pub fn new(seed: u64, engines: Engines) -> Self {
        Self {
            state: Rc::new(WorldState::new(seed, engines)),
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
        self.state.interrupt(share);
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
    pub fn with_cell<T>(&self, id: &CellId, look: impl FnOnce(&mut TimedCell) -> T) -> T {
        self.state.cells.with(id, look)
    }

    /// The wall clock where the cells are, which may be set forward and back.
    pub fn cells_clock(&self) -> &Skew {
        &self.state.cells.wall
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
