//! Tasks of one thread that shutting down waits for.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::sync::Notify;

use crate::clock::stopped_while_polled;

/// Counts the tasks that run.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    running: Rc<Running>,
}

#[derive(Debug, Default)]
struct Running {
    count: Cell<usize>,
    none: Notify,
}

impl Tasks {
    /// Runs `work` on this thread, to its end.
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let counted = Counted::new(Rc::clone(&self.running));
        drop(tokio::task::spawn_local(stopped_while_polled(async move {
            work.await;
            drop(counted);
        })));
    }

    /// Does `work` at once as far as it goes without waiting, and the rest as a task.
    pub fn begin(&self, work: impl Future<Output = ()> + 'static) {
        let mut work = Box::pin(work);
        // A task looks anew at all that it waits for: nothing has to wake it before.
        if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.spawn(work);
        }
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.running.count.get()
    }

    /// Completes when none runs.
    pub async fn done(&self) {
        while self.count() > 0 {
            self.running.none.notified().await;
        }
    }
}

/// One task in the count, also when it panics or is dropped.
struct Counted(Rc<Running>);

impl Counted {
    fn new(running: Rc<Running>) -> Self {
        running.count.set(running.count.get() + 1);
        Self(running)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let left = self.0.count.get() - 1;
        self.0.count.set(left);
        if left == 0 {
            self.0.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::runtime::LocalRuntime;

    #[test]
    fn what_need_not_wait_needs_no_task() {
        LocalRuntime::new().expect("a runtime").block_on(async {
            let (tasks, finished) = (Tasks::default(), Rc::new(Cell::new(0)));
            let (at_once, later) = (Rc::clone(&finished), Rc::clone(&finished));
            tasks.begin(async move { at_once.set(1) });
            assert_eq!((tasks.count(), finished.get()), (0, 1));
            tasks.begin(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                later.set(2);
            });
            assert_eq!((tasks.count(), finished.get()), (1, 1));
            tasks.done().await;
            assert_eq!((tasks.count(), finished.get()), (0, 2));
        });
    }

    #[test]
    fn done_waits_for_every_task_also_for_those_started_meanwhile() {
        LocalRuntime::new().expect("a runtime").block_on(async {
            let (tasks, finished) = (Tasks::default(), Rc::new(Cell::new(0)));
            let (again, count) = (tasks.clone(), Rc::clone(&finished));
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let inner = Rc::clone(&count);
                again.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    inner.set(inner.get() + 1);
                });
                count.set(count.get() + 1);
            });
            tasks.done().await;
            assert_eq!((finished.get(), tasks.count()), (2, 0));
        });
    }
}
