//! The core's way out, on Cloudflare Workers.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use js_sys::futures::spawn_local;
use tidegate_core::cells::{CellAddress, CellCommand, CellError, CellReply};
use tidegate_core::hop::{MAC_BYTES, mac};
use tidegate_core::ids::SecretName;
use tidegate_core::platform::{Platform, SendError, StoreError, UpstreamRequest};
use tidegate_core::time::Timestamp;
use tidegate_core::timeline::Timeline;
use worker::Env;

use crate::timers::Timers;
use crate::upstream::{self, UpstreamBody};
use crate::{cells, random, store};

/// What one event may use: its bindings, its timers, and the runtime's promise to wait for it.
#[derive(Clone)]
pub(crate) struct CloudflarePlatform {
    env: Env,
    timers: Rc<Timers>,
    alive: Rc<Alive>,
}

/// As long as somebody holds it, the event's work goes on, whether or not a client is there.
struct Alive {
    _held: oneshot::Sender<()>,
}

impl CloudflarePlatform {
    /// A platform for one event, and the end of all that is done with it: the runtime is to wait for that.
    pub fn new(env: Env) -> (Self, impl Future<Output = ()> + 'static) {
        let (held, over) = oneshot::channel();
        let platform = Self {
            env,
            timers: Timers::new(),
            alive: Rc::new(Alive { _held: held }),
        };
        // An error says that the sender is gone: nobody holds the platform any more.
        (platform, async move { over.await.unwrap_or_default() })
    }
}

impl Platform for CloudflarePlatform {
    type Body = UpstreamBody;

    fn now(&self) -> Timestamp {
        now()
    }

    fn wall(&self) -> Timestamp {
        wall()
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
        cells::call(&self.env, &self.timers, cell, command).await
    }

    async fn send(&self, request: UpstreamRequest) -> Result<http::Response<UpstreamBody>, SendError> {
        upstream::send(&self.env, request).await
    }

    async fn mac(&self, secret: &SecretName, message: &[u8]) -> Option<[u8; MAC_BYTES]> {
        let secret = self.env.secret(secret.as_str()).ok()?.to_string();
        (!secret.is_empty()).then(|| mac(secret.as_bytes(), message))
    }

    fn on_begun(&self, body: &mut UpstreamBody) {
        body.on_begun();
    }

    fn after_response(&self, work: impl Future<Output = ()> + 'static) {
        let alive = Rc::clone(&self.alive);
        spawn_local(async move {
            work.await;
            drop(alive);
        });
    }
}

/// The time of the last I/O, for durations: it follows the wall clock, the only one that the runtime has, and goes on where
/// that is set back.
pub(crate) fn now() -> Timestamp {
    let wall = wall();
    let mut line = TIME.get().unwrap_or_else(|| Timeline::new(wall, wall));
    let now = line.read(wall);
    TIME.set(Some(line));
    now
}

thread_local! {
    static TIME: Cell<Option<Timeline>> = const { Cell::new(None) };
}

/// The wall clock at the last I/O: it stands still while code runs.
pub(crate) fn wall() -> Timestamp {
    // Milliseconds since 1970 fit a float's 53 bits for some 285,000 years.
    Timestamp::from_millis(js_sys::Date::now() as u64)
}
