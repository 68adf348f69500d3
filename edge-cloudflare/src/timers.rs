//! Sleeping. A request sleeps many times over, as a bound of what it does, and hardly ever to the end: so all sleeps of
//! one request share one timer of the runtime, which is set for the earliest of them.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tidegate_core::sleeps::{Place, Sleeps};
use tidegate_core::time::Timestamp;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::platform::now;

/// The sleeps of one event.
pub(crate) struct Timers {
    on_timer: Closure<dyn FnMut()>,
    queue: RefCell<Queue>,
}

#[derive(Default)]
struct Queue {
    sleeps: Sleeps<Timestamp>,
    timer: Option<Timer>,
}

/// The runtime's timer, set.
struct Timer {
    due: Timestamp,
    handle: i32,
}

impl Timers {
    pub fn new() -> Rc<Self> {
        Rc::new_cyclic(|timers: &Weak<Self>| {
            let timers = timers.clone();
            let on_timer = Closure::new(move || {
                if let Some(timers) = timers.upgrade() {
                    timers.on_timer();
                }
            });
            Self {
                on_timer,
                queue: RefCell::default(),
            }
        })
    }

    /// Completes after `duration`.
    pub fn sleep(self: &Rc<Self>, duration: Duration) -> Sleep {
        Sleep {
            timers: Rc::clone(self),
            duration,
            place: None,
        }
    }

    fn begin(&self, due: Timestamp, waker: Waker) -> Place<Timestamp> {
        let mut queue = self.queue.borrow_mut();
        let place = queue.sleeps.begin(due, waker);
        self.set(&mut queue);
        place
    }

    fn on_timer(&self) {
        let mut queue = self.queue.borrow_mut();
        queue.timer = None;
        queue.sleeps.wake_until(now());
        self.set(&mut queue);
    }

    /// Sets the timer for the earliest sleep, unless it is set for an earlier time anyway.
    fn set(&self, queue: &mut Queue) {
        let Some(due) = queue.sleeps.earliest() else {
            return;
        };
        match &queue.timer {
            Some(timer) if timer.due <= due => return,
            Some(timer) => clear_timeout(timer.handle),
            None => {}
        }
        let millis = due.since(now()).min(LONGEST).as_millis() + 1;
        queue.timer = Some(Timer {
            due,
            handle: set_timeout(&self.on_timer, millis as i32),
        });
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        if let Some(timer) = &self.queue.borrow().timer {
            clear_timeout(timer.handle);
        }
    }
}

/// One sleep. It begins when it is first polled.
pub(crate) struct Sleep {
    timers: Rc<Timers>,
    duration: Duration,
    place: Option<Place<Timestamp>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.place {
            None => {
                let due = now() + self.duration;
                self.place = Some(self.timers.begin(due, context.waker().clone()));
                Poll::Pending
            }
            Some(place) => self.timers.queue.borrow_mut().sleeps.poll(place, context.waker()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.timers.queue.borrow_mut().sleeps.forget(place);
        }
    }
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(on_timer: &Closure<dyn FnMut()>, millis: i32) -> i32;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(handle: i32);
}

/// The runtime's timers count milliseconds in 31 bits; a longer one would fire at once. The next is set when it fires.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64 - 1);
