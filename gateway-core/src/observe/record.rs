//! An event with its moment and its request, and who is told of it.

use std::fmt;

use super::event::{Event, Level};
use crate::ids::RequestId;
use crate::time::Timestamp;

/// One event, as it is told. Written out it is one line: what happened, to which request, and the particulars.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When it happened, by the platform's clock: on some runtimes that stands still while code runs, so that several
    /// events have one moment. They are told in the order in which they happened.
    pub at: Timestamp,
    /// In the course of which request; `None` for what no request brought about.
    pub request: Option<&'a RequestId>,
    /// What happened.
    pub event: &'a Event<'a>,
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.event.name())?;
        if let Some(request) = self.request {
            write!(f, " request={}", request.as_str())?;
        }
        self.event.write_particulars(f)
    }
}

/// Where events go besides the metrics: to a log, or to somebody who checks them. Each gateway has its own.
pub struct Sink {
    least: Level,
    write: Box<dyn Fn(&Record<'_>) + Send + Sync>,
}

impl Sink {
    /// Has `write` told of every event that matters at least that much. It is called where the event happens, in the
    /// middle of a request: it must be quick, and call nothing of the gateway.
    pub fn new(least: Level, write: impl Fn(&Record<'_>) + Send + Sync + 'static) -> Self {
        Self {
            least,
            write: Box::new(write),
        }
    }

    /// Tells of an event. What it does not want costs it nothing, not even a look at the clock.
    pub(crate) fn tell(&self, at: impl FnOnce() -> Timestamp, request: Option<&RequestId>, event: &Event<'_>) {
        if event.level() >= self.least {
            let at = at();
            (self.write)(&Record { at, request, event });
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("least", &self.least)
            .finish_non_exhaustive()
    }
}
