//! The core's door to this process: the system's clock and randomness, tokio's timers and tasks, its state, and each
//! thread's own HTTP client.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, header};
use tidegate_core::cells::{CellAddress, CellCommand, CellError, CellReply};
use tidegate_core::hop::{MAC_BYTES, mac};
use tidegate_core::ids::SecretName;
use tidegate_core::platform::{Platform, SendError, StoreError, UpstreamRequest};
use tidegate_core::time::Timestamp;

use crate::client::{Client, ClientTls, UpstreamBody};
use crate::clock;
use crate::outbox::Outbox;
use crate::random::Random;
use crate::secrets::Secrets;
use crate::state::State;
use crate::tasks::Tasks;

/// What the threads of this process share.
#[derive(Debug)]
pub struct Resources {
    /// Cells and store.
    pub state: State,
    /// How engines are verified.
    pub tls: Arc<ClientTls>,
}

/// The platform as one thread has it.
#[derive(Clone, Debug)]
pub struct NativePlatform {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    resources: Arc<Resources>,
    client: Client,
    random: Random,
    secrets: Secrets,
    background: Tasks,
}

impl NativePlatform {
    /// The platform for the thread that calls.
    pub fn new(resources: Arc<Resources>, outbox: Outbox) -> Self {
        let client = Client::new(Arc::clone(&resources.tls), outbox);
        let (random, secrets, background) = (Random::new(), Secrets::default(), Tasks::default());
        Self {
            inner: Rc::new(Inner {
                resources,
                client,
                random,
                secrets,
                background,
            }),
        }
    }

    /// Cells and store, for the adapter's own chores.
    pub fn state(&self) -> &State {
        &self.inner.resources.state
    }

    /// Closes connections to engines that have been idle for too long.
    pub fn sweep_connections(&self) {
        self.inner.client.sweep();
    }

    /// Completes when all work given to [`after_response`](Platform::after_response) is done.
    pub async fn background_done(&self) {
        self.inner.background.done().await;
    }
}

impl Platform for NativePlatform {
    type Body = UpstreamBody;

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn wall(&self) -> Timestamp {
        clock::wall()
    }

    fn random(&self) -> u64 {
        self.inner.random.next()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }

    fn give_way(&self) -> impl Future<Output = ()> + 'static {
        // The runtime looks for what has come before it wakes who yields.
        tokio::task::yield_now()
    }

    async fn store_read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.state().read(keys).await
    }

    async fn store_write(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), StoreError> {
        self.state().write(key, value, ttl).await
    }

    async fn cell_call(&self, cell: &CellAddress, command: CellCommand) -> Result<CellReply, CellError> {
        self.state().call_cell(&cell.id, command).await
    }

    async fn send(&self, upstream: UpstreamRequest) -> Result<Response<UpstreamBody>, SendError> {
        let UpstreamRequest {
            mut request,
            binding,
            secret,
            connect_timeout,
            // Reading is cheap here.
            hold_back: _,
        } = upstream;
        if binding.is_some() {
            return Err(SendError::Connect(
                "no service bindings here: `hop` must be a URL".to_owned(),
            ));
        }
        if let Some(name) = secret {
            let bearer = self.inner.secrets.bearer(&name).ok_or(SendError::NoSecret(name))?;
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        self.inner.client.send(request, connect_timeout).await
    }

    async fn mac(&self, secret: &SecretName, message: &[u8]) -> Option<[u8; MAC_BYTES]> {
        let secret = self.inner.secrets.value(secret)?;
        Some(mac(secret.as_bytes(), message))
    }

    fn after_response(&self, work: impl Future<Output = ()> + 'static) {
        self.inner.background.begin(work);
    }
}
