//! Work that goes on beside a request and after its response.
//!
//! To the host a request is one task, in which the SDK polls a set of futures: the handler, and what was spawned. The
//! set has two habits that matter here. A future that is spawned is found when the set is next polled, and a task that
//! has gone to sleep polls nothing. And when every future of the set has just been polled, the task is called again at
//! once, for nothing, at the price of a wait. A [`Companion`] in the set takes care of both: it is woken where the set
//! has to be polled, and since it is polled for little else, it is hardly ever true that all of the set was.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::clock;
use crate::timers::Timers;

/// The host's task of one request.
#[derive(Default)]
pub(crate) struct Task {
    /// Futures that are not done: the handler, and what was spawned.
    running: Cell<usize>,
    companion: Cell<Option<Waker>>,
    /// Futures were spawned that the set has yet to find.
    has_spawned: Cell<bool>,
    /// What sleeps in it.
    pub(crate) timers: Timers,
}

/// Runs the handler of a request, which may call [`spawn`].
pub(crate) async fn handle<T>(handler: Pin<&mut impl Future<Output = T>>) -> T {
    let task = Rc::new(Task {
        running: Cell::new(1),
        ..Task::default()
    });
    spin_sdk::wasip3::spawn(Companion(Rc::clone(&task)));
    company(&task).await;
    polled_in(task, handler).await
}

/// Runs `work` to its end within the task of the request that calls, which the host keeps alive for that long.
pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    let Some(task) = POLLED.with_borrow(Clone::clone) else {
        return spin_sdk::wasip3::spawn(work);
    };
    task.running.update(|running| running + 1);
    task.has_spawned.set(true);
    spin_sdk::wasip3::spawn(polled_in(task, work));
}

/// Completes `future`, which may call [`spawn`], as one of those that run in the task.
async fn polled_in<T>(task: Rc<Task>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let done = poll_fn(|context| {
        clock::go_on();
        let outer = POLLED.replace(Some(Rc::clone(&task)));
        let poll = future.as_mut().poll(context);
        POLLED.set(outer);
        // Where a future completes, the set is polled again anyway.
        if task.has_spawned.take() && poll.is_pending() {
            task.wake_companion();
        }
        poll
    })
    .await;
    task.running.update(|running| running - 1);
    if task.running.get() == 0 {
        task.wake_companion();
    }
    done
}

impl Task {
    /// The task of the future that is being polled.
    pub(crate) fn polled() -> Rc<Self> {
        POLLED.with_borrow(Clone::clone).unwrap_or_default()
    }

    /// Whether it is none of a request: nobody but who sleeps keeps its timers.
    pub(crate) fn has_nobody(&self) -> bool {
        self.running.get() == 0
    }

    /// Polls the timers, on behalf of the companion, or else of a future that `context` belongs to.
    pub(crate) fn poll_timers(&self, context: &mut Context<'_>) {
        match self.companion.take() {
            Some(companion) => {
                self.timers.poll(&mut Context::from_waker(&companion));
                self.companion.set(Some(companion));
            }
            // It is woken already, and will poll them itself.
            None => self.timers.poll(context),
        }
    }

    fn wake_companion(&self) {
        if let Some(companion) = self.companion.take() {
            companion.wake();
        }
    }
}

/// Lives as long as others of its task, and keeps their timers.
struct Companion(Rc<Task>);

impl Future for Companion {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.running.get() == 0 {
            self.0.timers.stop();
            return Poll::Ready(());
        }
        self.0.timers.poll(context);
        self.0.companion.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

/// Completes when the task has its companion.
async fn company(task: &Rc<Task>) {
    let mut is_first = true;
    poll_fn(|context| {
        let companion = task.companion.take();
        let is_there = companion.is_some();
        task.companion.set(companion);
        if is_there {
            return Poll::Ready(());
        }
        if std::mem::take(&mut is_first) {
            // The set finds the companion when it is polled again. What completes in it begins another round, and in
            // that round the companion is not polled.
            context.waker().wake_by_ref();
            let handler = context.waker().clone();
            spin_sdk::wasip3::spawn(async move { handler.wake() });
        }
        Poll::Pending
    })
    .await;
}

thread_local! {
    /// The task of the future that is being polled.
    static POLLED: RefCell<Option<Rc<Task>>> = const { RefCell::new(None) };
}
