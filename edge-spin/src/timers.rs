//! Sleeping. A request sleeps many times over, as a bound of what it does, and hardly ever to the end: so all sleeps of
//! one request share one timer of the host, which is set for the earliest of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::clock::{self, Moment};
use crate::tasks::Task;

/// The sleeps of one request's task.
#[derive(Default)]
pub(crate) struct Timers(RefCell<Queue>);

#[derive(Default)]
struct Queue {
    waiting: BTreeMap<Place, Waker>,
    sleeps: u64,
    timer: Option<Timer>,
}

/// When a sleep ends, and its number.
type Place = (Moment, u64);

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
            queue.end_until(due);
            queue.set();
        }
    }

    /// Gives the host's timer back. What still sleeps sleeps on.
    pub(crate) fn stop(&self) {
        self.0.borrow_mut().timer = None;
    }

    /// Notes a sleep; whether the host's timer was set for it, and has to be polled.
    fn note(&self, due: Moment, waker: Waker) -> (Place, bool) {
        let mut queue = self.0.borrow_mut();
        queue.sleeps += 1;
        let place = (due, queue.sleeps);
        queue.waiting.insert(place, waker);
        (place, queue.set())
    }
}

impl Queue {
    fn end_until(&mut self, due: Moment) {
        self.timer = None;
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > due {
                break;
            }
            first.remove().wake();
        }
    }

    /// Sets the timer for the earliest sleep, unless it is set for that moment or an earlier one; whether it did.
    fn set(&mut self) -> bool {
        let Some((&(due, _), _)) = self.waiting.first_key_value() else {
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
    place: Option<(Rc<Task>, Place)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some((task, place)) = &self.place else {
            let task = Task::polled();
            let (place, is_set) = task
                .timers
                .note(clock::moment() + self.duration, context.waker().clone());
            if is_set {
                task.poll_timers(context);
            }
            self.place = Some((task, place));
            return Poll::Pending;
        };
        if task.has_nobody() {
            task.timers.poll(context);
        }
        match task.timers.0.borrow_mut().waiting.get_mut(place) {
            Some(waker) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((task, place)) = &self.place {
            task.timers.0.borrow_mut().waiting.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn note(timers: &Timers, due: Moment) -> (Place, bool) {
        timers.note(due, Waker::noop().clone())
    }

    #[test]
    fn the_timer_is_set_for_the_earliest_sleep() {
        let timers = Timers::default();
        let start = Moment::default();
        assert!(note(&timers, start + 5 * MS).1);
        assert!(!note(&timers, start + 7 * MS).1);
        assert!(!note(&timers, start + 5 * MS).1);
        assert!(note(&timers, start + 3 * MS).1);
        let due = timers.0.borrow().timer.as_ref().map(|timer| timer.due);
        assert_eq!(due, Some(start + 3 * MS));
    }

    #[test]
    fn the_sleeps_that_are_due_end_and_others_go_on() {
        let timers = Timers::default();
        let start = Moment::default();
        let places = [5, 3, 7, 5].map(|ms| note(&timers, start + ms * MS).0);
        let mut queue = timers.0.borrow_mut();
        queue.end_until(start + 5 * MS);
        assert_eq!(queue.waiting.keys().collect::<Vec<_>>(), [&places[2]]);
        assert!(queue.set());
        assert_eq!(queue.timer.as_ref().map(|timer| timer.due), Some(start + 7 * MS));
    }
}
