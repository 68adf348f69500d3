//! The core's door to Spin.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::AUTHORIZATION;
use spin_sdk::wasip3::random::random::get_random_u64;
use tidegate_core::cells::{CellAddress, CellCommand, CellError, CellReply};
use tidegate_core::hop::{MAC_BYTES, mac};
use tidegate_core::ids::SecretName;
use tidegate_core::platform::{Platform, SendError, StoreError, UpstreamRequest};
use tidegate_core::time::Timestamp;

use crate::instance::Instance;
use crate::upstream::{self, UpstreamBody};
use crate::{clock, tasks, timers};

/// The platform as every request sees it.
#[derive(Clone)]
pub(crate) struct SpinPlatform(Rc<Instance>);

impl SpinPlatform {
    /// The platform of the instance.
    pub(crate) fn new(instance: &Rc<Instance>) -> Self {
        Self(Rc::clone(instance))
    }

    /// What the instance keeps.
    pub(crate) fn instance(&self) -> &Instance {
        &self.0
    }
}

impl Platform for SpinPlatform {
    type Body = UpstreamBody;

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn wall(&self) -> Timestamp {
        clock::wall()
    }

    fn random(&self) -> u64 {
        get_random_u64()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        timers::sleep(duration)
    }

    async fn store_read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.0.state.read(keys).await
    }

    async fn store_write(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), StoreError> {
        self.0.state.write(key, &value, ttl).await
    }

    async fn cell_call(&self, cell: &CellAddress, command: CellCommand) -> Result<CellReply, CellError> {
        self.0.state.call_cell(&cell.id, command).await
    }

    async fn send(&self, mut upstream: UpstreamRequest) -> Result<Response<UpstreamBody>, SendError> {
        if upstream.binding.is_some() {
            return Err(SendError::Connect(
                "no service bindings here: `hop` must be a URL".to_owned(),
            ));
        }
        if let Some(secret) = &upstream.secret {
            let authorization = self.0.secrets.authorization(secret).await?;
            upstream.request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        upstream::send(upstream).await
    }

    async fn mac(&self, secret: &SecretName, message: &[u8]) -> Option<[u8; MAC_BYTES]> {
        let secret = self.0.secrets.value(secret).await?;
        Some(mac(secret.as_bytes(), message))
    }

    fn on_begun(&self, body: &mut UpstreamBody) {
        body.on_begun();
    }

    fn after_response(&self, work: impl Future<Output = ()> + 'static) {
        tasks::spawn(work);
    }
}
