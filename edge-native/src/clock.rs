//! The process's clocks: the wall clock, and a time that begins with it when the process does and then goes on by the
//! monotonic clock, whatever becomes of the other. While a task is polled that time stands still, as if running code took
//! none: a request asks a dozen times between two waits.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidegate_core::time::{Moment, Timestamp};

/// The time now, for durations.
pub fn now() -> Timestamp {
    match CLOCK.get() {
        Clock::Goes => steady_time(),
        Clock::Stopped => {
            let now = steady_time();
            CLOCK.set(Clock::StoppedAt(now));
            now
        }
        Clock::StoppedAt(now) => now,
    }
}

/// The wall clock, for dates. It may be set forward and back.
pub fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}

/// Both.
pub fn moment() -> Moment {
    Moment {
        steady: now(),
        wall: wall(),
    }
}

/// Does `work`, of which each poll sees one time throughout.
pub async fn stopped_while_polled<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let _stopped = Stopped::begin();
        work.as_mut().poll(cx)
    })
    .await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Goes,
    /// Nobody has asked since.
    Stopped,
    StoppedAt(Timestamp),
}

/// The clock stands still until it is dropped.
struct Stopped {
    before: Clock,
}

impl Stopped {
    /// Stops the clock, unless it stands still already.
    fn begin() -> Self {
        let before = CLOCK.get();
        if before == Clock::Goes {
            CLOCK.set(Clock::Stopped);
        }
        Self { before }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if self.before == Clock::Goes {
            CLOCK.set(Clock::Goes);
        }
    }
}

fn steady_time() -> Timestamp {
    let (begun, then) = *BEGUN;
    then + begun.elapsed()
}

/// When time was first asked for, by both clocks.
static BEGUN: LazyLock<(Instant, Timestamp)> = LazyLock::new(|| (Instant::now(), wall()));

thread_local! {
    static CLOCK: Cell<Clock> = const { Cell::new(Clock::Goes) };
}

#[cfg(test)]
mod tests {
    use std::task::Poll;
    use std::thread::sleep;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::runtime::Builder;

    use super::*;

    const LONG: Duration = Duration::from_millis(2);

    fn passes() -> bool {
        let before = now();
        sleep(LONG);
        now() >= before + LONG
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    #[test]
    fn time_stands_still_while_a_task_is_polled_and_goes_on_between() {
        let mut polls = Vec::new();
        block_on(stopped_while_polled(poll_fn(|cx| {
            let within = stopped_while_polled(async { passes() }).now_or_never();
            assert_eq!(
                (within, passes()),
                (Some(false), false),
                "also after a task that was polled within"
            );
            polls.push(now());
            sleep(LONG);
            cx.waker().wake_by_ref();
            if polls.len() == 2 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })));
        assert!(polls[1] >= polls[0] + LONG);
        assert!(passes());
    }
}
