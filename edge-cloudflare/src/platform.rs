//! The core's way out, on Cloudflare Workers.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::cells::{CellAddress, CellCommand, CellReply};
use tidegate_core::platform::{CellError, Platform, SendError, StoreError, UpstreamRequest};
use tidegate_core::time::Timestamp;
use worker::{Context, Env, ScheduleContext};

use crate::timers::Timers;
use crate::upstream::{self, UpstreamBody};
use crate::{cells, random, store};

/// What one event may use: its bindings, and a promise of the runtime to wait for it.
#[derive(Clone)]
pub(crate) struct CloudflarePlatform {
    env: Env,
    lifetime: Rc<Lifetime>,
    timers: Rc<Timers>,
}

/// The event that work belongs to.
pub(crate) enum Lifetime {
    /// A client's request.
    Request(Context),
    /// A cron trigger.
    Schedule(ScheduleContext),
}

impl CloudflarePlatform {
    pub fn new(env: Env, lifetime: Lifetime) -> Self {
        Self {
            env,
            lifetime: Rc::new(lifetime),
            timers: Timers::new(),
        }
    }
}

impl Platform for CloudflarePlatform {
    type Body = UpstreamBody;

    fn now(&self) -> Timestamp {
        now()
    }

    fn random(&self) -> u64 {
        random::random()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        self.timers.sleep(duration)
    }

    async fn store_read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        store::read(&self.env, keys).await
    }

    async fn store_write(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), StoreError> {
        store::write(&self.env, key, &value, ttl).await
    }

    async fn cell_call(&self, cell: &CellAddress, command: CellCommand) -> Result<CellReply, CellError> {
        cells::call(&self.env, cell, &command).await
    }

    async fn send(&self, request: UpstreamRequest) -> Result<http::Response<UpstreamBody>, SendError> {
        upstream::send(&self.env, request).await
    }

    fn after_response(&self, work: impl Future<Output = ()> + 'static) {
        match &*self.lifetime {
            Lifetime::Request(context) => context.wait_until(work),
            Lifetime::Schedule(context) => context.wait_until(work),
        }
    }
}

/// The time of the last I/O: the runtime's clock stands still while code runs.
pub(crate) fn now() -> Timestamp {
    // Milliseconds since 1970 fit a float's 53 bits for some 285,000 years.
    Timestamp::from_millis(js_sys::Date::now() as u64)
}
