//! When an instance takes another request, and when it dies: Spin's rules.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use wasmtime::component::{GuestTaskId, InstancePre};
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::app::App;
use crate::state::State;

/// How instances are used again.
#[derive(Clone, Copy)]
pub(crate) struct Reuse {
    /// Requests that one instance serves in its life.
    pub(crate) most_requests: usize,
    /// Requests that one instance works on at a time, until their response heads.
    pub(crate) most_at_once: usize,
    /// How long an idle instance is kept.
    pub(crate) idle_timeout: Duration,
}

/// Makes instances of the component.
pub(crate) struct Instances {
    engine: Engine,
    component: ServicePre<State>,
    app: Arc<App>,
    reuse: Reuse,
}

impl Instances {
    /// Prepares to make instances of `component`, which must export a wasi:http 0.3 handler.
    ///
    /// # Errors
    /// When it exports none.
    pub(crate) fn new(
        engine: Engine,
        component: InstancePre<State>,
        app: Arc<App>,
        reuse: Reuse,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            engine,
            component: ServicePre::new(component)?,
            app,
            reuse,
        })
    }

    /// What all instances share.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }
}

impl HandlerState for Instances {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Acceptance;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Expiration, Acceptance>> {
        let mut store = Store::new(&self.engine, State::new(Arc::clone(&self.app)));
        store.set_epoch_deadline(NEVER);
        let proxy = Proxy::P3(self.component.instantiate_async(&mut store).await?);
        Ok(Instance {
            store,
            proxy,
            view: State::http,
            expiration: Expiration {
                idle_timeout: self.reuse.idle_timeout,
                sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
                since: None,
            },
            state: Acceptance(self.reuse),
        })
    }
}

/// Ends an instance that has been idle for too long; requests and what goes on after them may take any time.
pub(crate) struct Expiration {
    idle_timeout: Duration,
    sleep: Pin<Box<Sleep>>,
    /// Since when the instance has been idle, if `sleep` is set for that.
    since: Option<Instant>,
}

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, status: WorkerStatus, start: Instant) -> Poll<()> {
        if status != WorkerStatus::Idle {
            self.since = None;
            return Poll::Pending;
        }
        if self.since != Some(start) {
            self.since = Some(start);
            let deadline = (start + self.idle_timeout).into();
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// Whether an instance takes another request.
pub(crate) struct Acceptance(Reuse);

impl WorkerState for Acceptance {
    type StoreData = State;
    type RequestData = ();

    fn should_accept_request(&self, at_once: usize, so_far: usize) -> ShouldAccept {
        if so_far >= self.0.most_requests {
            ShouldAccept::Never
        } else if at_once >= self.0.most_at_once {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<State>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            eprintln!("instance failed: {error:?}");
        }
        drop(store);
    }
}

/// Epochs until a guest is interrupted. Nothing counts epochs here: the checks are compiled in because Spin's are.
const NEVER: u64 = u64::MAX / 2;
