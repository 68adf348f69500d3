//! A gateway that nobody but its caller asks, for tools: cells that know of nothing, an empty store, and no engine that is ever
//! reached.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tidegate_core::geo::Location;
use tidegate_core::{Body, Gateway};

use crate::client::ClientTls;
use crate::outbox::Outbox;
use crate::platform::{NativePlatform, Resources};
use crate::state::State;
use crate::store::{Store, StoreOpenError};

/// What `POST /admin/v1/explain` answers to that body, of a gateway that has just begun and has no other. To be called on a
/// thread with tasks of its own (`LocalSet`).
///
/// # Errors
/// When there is no memory for a store.
pub async fn explain_alone(
    gateway: &Arc<Gateway>,
    location: Location,
    asked: Bytes,
) -> Result<Response<Body>, StoreOpenError> {
    let resources = Arc::new(Resources {
        state: State::own(Store::open(None)?),
        tls: Arc::new(ClientTls::default()),
    });
    let platform = NativePlatform::new(resources, Outbox::start());
    let response = gateway.explain(platform.clone(), location, asked).await;
    platform.background_done().await;
    Ok(response)
}
