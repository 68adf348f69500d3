//! Work that goes on beside a request and after its response.
//!
//! The SDK's `spawn` only puts a future where the request's task finds it when it next looks, and a task that has
//! gone to sleep does not look. So every future that may spawn is [`tracked`]: while it is polled its waker is known,
//! and [`spawn`] wakes the task.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Waker;

/// Runs `work` to its end within the task of the request that calls, which the host keeps alive for that long.
pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    spin_sdk::wasip3::spawn(tracked(work));
    POLLED.with_borrow(|polled| {
        if let Some(waker) = polled {
            waker.wake_by_ref();
        }
    });
}

/// The same future, which may now call [`spawn`].
pub(crate) async fn tracked<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|context| {
        let outer = POLLED.replace(Some(context.waker().clone()));
        let poll = future.as_mut().poll(context);
        POLLED.set(outer);
        poll
    })
    .await
}

thread_local! {
    /// What wakes the future that is being polled.
    static POLLED: RefCell<Option<Waker>> = const { RefCell::new(None) };
}
