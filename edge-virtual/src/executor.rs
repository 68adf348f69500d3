//! Tasks on one thread, run in the order in which they became ready, or in one that a seed decides. A task may belong to
//! a process, with which it ends.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::process::Process;
use crate::random::Random;

/// All tasks.
#[derive(Default)]
pub(crate) struct Executor {
    tasks: RefCell<Tasks>,
    ready: Arc<Ready>,
    /// Decides who runs next; `None`: who has been ready for longest.
    order: RefCell<Option<Random>>,
    /// Processes of which a task has run since this was last asked.
    active: RefCell<Vec<Rc<Process>>>,
}

#[derive(Default)]
struct Tasks {
    slots: Vec<Option<Task>>,
    free: Vec<usize>,
    begun: u64,
}

struct Task {
    key: TaskKey,
    owner: Option<Rc<Process>>,
    waker: Waker,
    queued: Arc<TaskWaker>,
    /// `None` while it runs.
    future: Option<LocalBoxFuture<'static, ()>>,
}

/// A task's slot, and its number, which tells it from those that had the slot before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TaskKey {
    slot: usize,
    number: u64,
}

/// Tasks that have something to do. Wakers must be `Send`; nobody else ever waits for the lock.
#[derive(Default)]
struct Ready(Mutex<VecDeque<TaskKey>>);

struct TaskWaker {
    key: TaskKey,
    ready: Arc<Ready>,
    is_queued: AtomicBool,
}

impl Executor {
    /// Has a seed decide who runs next.
    pub fn shuffle(&self, random: Random) {
        *self.order.borrow_mut() = Some(random);
    }

    /// Runs a task to its end, or until its owner dies.
    pub fn spawn(&self, owner: Option<Rc<Process>>, work: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        tasks.begun += 1;
        let number = tasks.begun;
        let slot = tasks.free.pop().unwrap_or_else(|| {
            tasks.slots.push(None);
            tasks.slots.len() - 1
        });
        let key = TaskKey { slot, number };
        let queued = Arc::new(TaskWaker {
            key,
            ready: Arc::clone(&self.ready),
            is_queued: AtomicBool::new(true),
        });
        tasks.slots[slot] = Some(Task {
            key,
            owner,
            waker: Waker::from(Arc::clone(&queued)),
            queued,
            future: Some(work.boxed_local()),
        });
        self.ready.lock().push_back(key);
    }

    /// Lets one of those that are ready run to its next wait; `false` where none is. It may be called by a task that
    /// runs: then another one gets its turn in between.
    pub fn run_one(&self) -> bool {
        let Some(key) = self.next() else { return false };
        let Some((mut future, waker)) = self.begin(key) else {
            return true;
        };
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut tasks = self.tasks.borrow_mut();
        match (polled, tasks.get(key)) {
            (Poll::Pending, Some(task)) => task.future = Some(future),
            (Poll::Ready(()), Some(_)) => {
                let ended = tasks.remove(key.slot);
                drop(tasks);
                drop((ended, future));
            }
            // Its owner died meanwhile.
            (Poll::Ready(()) | Poll::Pending, None) => {
                drop(tasks);
                drop(future);
            }
        }
        true
    }

    /// Processes that live, of which a task has run since this was last asked.
    pub fn take_active(&self) -> Vec<Rc<Process>> {
        let mut active = self.active.take();
        active.retain(|process| {
            process.is_active.set(false);
            !process.is_dead.get()
        });
        active
    }

    /// Ends the tasks of a process where they stand.
    pub fn end_tasks_of(&self, owner: &Process) {
        self.end(|task| task.owner.as_deref().is_some_and(|of| std::ptr::eq(of, owner)));
    }

    /// Ends all tasks.
    pub fn end_all(&self) {
        self.end(|_| true);
    }

    fn end(&self, is_to_end: impl Fn(&Task) -> bool) {
        let mut tasks = self.tasks.borrow_mut();
        let slots = (0..tasks.slots.len()).filter(|slot| tasks.slots[*slot].as_ref().is_some_and(&is_to_end));
        let slots: Vec<_> = slots.collect();
        let ended: Vec<_> = slots.into_iter().map(|slot| tasks.remove(slot)).collect();
        // What they drop may look at the tasks.
        drop(tasks);
        drop(ended);
    }

    fn next(&self) -> Option<TaskKey> {
        let mut ready = self.ready.lock();
        match self.order.borrow_mut().as_mut() {
            Some(order) => {
                let chosen = order.within(0..ready.len() as u64);
                ready.swap_remove_back(usize::try_from(chosen).ok()?)
            }
            None => ready.pop_front(),
        }
    }

    /// Takes a task's future out, to run it; `None` where it has ended, or runs and has to wait for its turn.
    fn begin(&self, key: TaskKey) -> Option<(LocalBoxFuture<'static, ()>, Waker)> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get(key)?;
        let Some(future) = task.future.take() else {
            self.ready.lock().push_back(key);
            return None;
        };
        task.queued.is_queued.store(false, Ordering::Relaxed);
        if let Some(owner) = &task.owner
            && !owner.is_active.replace(true)
        {
            self.active.borrow_mut().push(Rc::clone(owner));
        }
        Some((future, task.waker.clone()))
    }
}

impl Tasks {
    fn get(&mut self, key: TaskKey) -> Option<&mut Task> {
        self.slots[key.slot].as_mut().filter(|task| task.key == key)
    }

    fn remove(&mut self, slot: usize) -> Option<Task> {
        self.free.push(slot);
        self.slots[slot].take()
    }
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, VecDeque<TaskKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().push_back(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, poll_fn};
    use std::time::Duration;

    use super::*;
    use crate::process::ProcessId;

    fn run_all(executor: &Executor) {
        while executor.run_one() {}
    }

    #[test]
    fn tasks_run_in_the_order_in_which_they_became_ready_or_in_that_of_a_seed() {
        let order = |seed: Option<u64>| {
            let (executor, ran) = (Executor::default(), Rc::new(RefCell::new(Vec::new())));
            if let Some(seed) = seed {
                executor.shuffle(Random::new(seed));
            }
            for number in 0..8 {
                let ran = Rc::clone(&ran);
                executor.spawn(None, async move { ran.borrow_mut().push(number) });
            }
            run_all(&executor);
            ran.take()
        };
        assert_eq!(order(None), (0..8).collect::<Vec<_>>());
        assert_eq!(order(Some(1)), order(Some(1)));
        assert_ne!(order(Some(1)), order(Some(2)));
    }

    #[test]
    fn who_wakes_itself_runs_again_and_a_slot_is_used_again() {
        let executor = Executor::default();
        for _ in 0..3 {
            let mut times = 0;
            executor.spawn(
                None,
                poll_fn(move |context| {
                    times += 1;
                    context.waker().wake_by_ref();
                    if times < 5 { Poll::Pending } else { Poll::Ready(()) }
                }),
            );
            run_all(&executor);
        }
        assert_eq!(executor.tasks.borrow().slots.len(), 1);
    }

    #[test]
    fn tasks_end_with_their_process() {
        struct Dropped(Rc<Cell<u32>>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let (executor, dropped) = (Executor::default(), Rc::new(Cell::new(0)));
        let process = |id| Rc::new(Process::new(ProcessId(id), 0, Duration::ZERO));
        let (one, other) = (process(1), process(2));
        for owner in [Some(Rc::clone(&one)), Some(Rc::clone(&other)), None] {
            let held = Dropped(Rc::clone(&dropped));
            executor.spawn(owner, async move {
                let _held = held;
                pending::<()>().await;
            });
        }
        run_all(&executor);
        executor.end_tasks_of(&one);
        assert_eq!(dropped.get(), 1);
        one.is_dead.set(true);
        let active: Vec<_> = executor.take_active().iter().map(|process| process.id).collect();
        assert_eq!(active, [other.id], "of those that live");
        assert_eq!(executor.take_active().len(), 0);
        executor.end_all();
        assert_eq!(dropped.get(), 3);
    }

    #[test]
    fn another_task_gets_its_turn_within_one() {
        let (executor, ran) = (Rc::new(Executor::default()), Rc::new(RefCell::new(Vec::new())));
        let (of_one, of_other, within) = (Rc::clone(&ran), Rc::clone(&ran), Rc::clone(&executor));
        executor.spawn(None, async move {
            of_one.borrow_mut().push("one begins");
            within.run_one();
            of_one.borrow_mut().push("one ends");
        });
        executor.spawn(None, async move { of_other.borrow_mut().push("other") });
        run_all(&executor);
        assert_eq!(ran.take(), ["one begins", "other", "one ends"]);
    }
}
