//! The world's clock: it moves only when it is told to, to the moment at which the first of those who sleep wakes.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tidegate_core::sleeps::{Place, Sleeps};
use tidegate_core::time::Timestamp;

/// The true time, and those who sleep.
#[derive(Debug)]
pub struct Clock {
    now: Cell<Timestamp>,
    sleeps: RefCell<Sleeps<Timestamp>>,
}

impl Clock {
    /// A clock that stands at that moment.
    pub(crate) fn new(now: Timestamp) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(now),
            sleeps: RefCell::default(),
        })
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.now.get()
    }

    /// Completes after `duration`. One that is longer than time itself never does.
    pub fn sleep(self: &Rc<Self>, duration: Duration) -> Sleep {
        Sleep {
            due: self.now() + duration,
            clock: Rc::clone(self),
            slot: None,
        }
    }

    /// Moves to the moment at which the next sleep ends; `false` where nobody sleeps.
    pub(crate) fn advance(&self) -> bool {
        let mut sleeps = self.sleeps.borrow_mut();
        let Some(next) = sleeps.earliest().filter(|next| *next < Timestamp::NEVER) else {
            return false;
        };
        self.now.set(self.now().max(next));
        sleeps.wake_until(self.now());
        true
    }
}

/// A sleep on the world's clock. Dropping it ends it.
#[derive(Debug)]
pub struct Sleep {
    clock: Rc<Clock>,
    due: Timestamp,
    slot: Option<Place<Timestamp>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.due {
            return Poll::Ready(());
        }
        let waker = context.waker();
        let clock = Rc::clone(&self.clock);
        let mut sleeps = clock.sleeps.borrow_mut();
        match self.slot {
            Some(slot) => sleeps.poll(slot, waker),
            None => {
                self.slot = Some(sleeps.begin(self.due, waker.clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.clock.sleeps.borrow_mut().forget(slot);
        }
    }
}
