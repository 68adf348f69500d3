//! An answer that was found, as its client is to see it.

use std::time::Duration;

use bytes::Bytes;

use crate::api::{Dialect, Generation, Usage};
use crate::cache::{CacheStatus, Entry};
use crate::pipeline::context::Exchange;
use crate::platform::Platform;

/// An answer that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct Hit {
    /// How.
    pub status: CacheStatus,
    /// A body of JSON or, for a client that wants a stream, its events.
    pub body: Bytes,
    /// How old it is.
    pub age: Duration,
    /// What it took when it was made.
    pub usage: Usage,
}

impl Hit {
    /// The answer of an entry to that request; `None` where it is none.
    pub fn of<P: Platform>(
        exchange: &Exchange<P>,
        request: &Generation,
        entry: &Entry,
        status: CacheStatus,
    ) -> Option<Self> {
        let wall = exchange.platform.wall();
        Some(Self {
            status,
            body: Dialect::replayed(&entry.body, request, &exchange.id, wall)?,
            age: entry.age(wall),
            usage: entry.usage,
        })
    }
}
