//! Sleeping. A request sleeps many times over, as a bound of what it does, and hardly ever to the end: so all sleeps of
//! one request share one timer of the host, which is set for the earliest of them.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tidegate_core::sleeps::{Place, Sleeps};

use crate::clock::{self, Moment};
use crate::tasks::Task;

/// The sleeps of one request's task.
#[derive(Default)]
pub(crate) struct Timers(RefCell<Queue>);

#[derive(Default)]
struct Queue {
    sleeps: Sleeps<Moment>,
    timer: Option<Timer>,
}

/// The host's timer, set.
struct Timer {
    due: Moment,
    elapsed: LocalBoxFuture<'static, ()>,
}

impl Timers {
    /// Ends the sleeps that are due. Whoever `context` belongs to is to call again when it is woken.
    pub(crate) fn poll(&self, context: &mut Context<'_>) {
        let mut queue = self.0.borrow_mut();
        while let Some(timer) = &mut queue.timer {
            if timer.elapsed.as_mut().poll(context).is_pending() {
                return;
            }
            let due = timer.due;
            queue.timer = None;
            queue.sleeps.wake_until(due);
            queue.set();
        }
    }

    /// Gives the host's timer back. What still sleeps sleeps on.
    pub(crate) fn stop(&self) {
        self.0.borrow_mut().timer = None;
    }

    /// Begins a sleep; whether the host's timer was set for it, and has to be polled.
    fn begin(&self, due: Moment, waker: Waker) -> (Place<Moment>, bool) {
        let mut queue = self.0.borrow_mut();
        let place = queue.sleeps.begin(due, waker);
        (place, queue.set())
    }
}

impl Queue {
    /// Sets the timer for the earliest sleep, unless it is set for that moment or an earlier one; whether it did.
    fn set(&mut self) -> bool {
        let Some(due) = self.sleeps.earliest() else {
            return false;
        };
        if self.timer.as_ref().is_some_and(|timer| timer.due <= due) {
            return false;
        }
        let elapsed = Box::pin(due.wait());
        self.timer = Some(Timer { due, elapsed });
        true
    }
}

/// Completes after `duration`, which begins when it is first polled.
pub(crate) fn sleep(duration: Duration) -> Sleep {
    Sleep { duration, place: None }
}

/// One sleep.
pub(crate) struct Sleep {
    duration: Duration,
    /// Where it waits, once it has begun.
    place: Option<(Rc<Task>, Place<Moment>)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some((task, place)) = &self.place else {
            let task = Task::polled();
            let (place, is_set) = task
                .timers
                .begin(clock::moment() + self.duration, context.waker().clone());
            if is_set {
                task.poll_timers(context);
            }
            self.place = Some((task, place));
            return Poll::Pending;
        };
        if task.has_nobody() {
            task.timers.poll(context);
        }
        task.timers.0.borrow_mut().sleeps.poll(*place, context.waker())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((task, place)) = &self.place {
            task.timers.0.borrow_mut().sleeps.forget(*place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn begin(timers: &Timers, due: Moment) -> (Place<Moment>, bool) {
        timers.begin(due, Waker::noop().clone())
    }

    #[test]
    fn the_timer_is_set_for_the_earliest_sleep() {
        let timers = Timers::default();
        let start = Moment::default();
        assert!(begin(&timers, start + 5 * MS).1);
        assert!(!begin(&timers, start + 7 * MS).1);
        assert!(!begin(&timers, start + 5 * MS).1);
        assert!(begin(&timers, start + 3 * MS).1);
        let due = timers.0.borrow().timer.as_ref().map(|timer| timer.due);
        assert_eq!(due, Some(start + 3 * MS));
    }

    #[test]
    fn the_sleeps_that_are_due_end_and_others_go_on() {
        let timers = Timers::default();
        let start = Moment::default();
        let places = [5, 3, 7, 5].map(|ms| begin(&timers, start + ms * MS).0);
        let mut queue = timers.0.borrow_mut();
        queue.timer = None;
        queue.sleeps.wake_until(start + 5 * MS);
        let over = places.map(|place| queue.sleeps.poll(place, Waker::noop()).is_ready());
        assert_eq!(over, [true, true, false, true]);
        assert!(queue.set());
        assert_eq!(queue.timer.as_ref().map(|timer| timer.due), Some(start + 7 * MS));
    }
}
