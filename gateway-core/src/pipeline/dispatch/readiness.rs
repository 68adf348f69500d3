//! Whether an engine that was out is ready, asked before a client's request is sent there: what its `/health` says costs
//! nobody anything. It decides nothing about replicas that have not failed.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};

use crate::config::{Cluster, Replica, url_at};
use crate::ladder::AttemptError;
use crate::pipeline::context::Exchange;
use crate::platform::{Platform, SendError, UpstreamRequest};

/// Asks a replica's engine whether it is ready. One that does not know the path, or wants another key there, may be; and so
/// may one that says nothing, where it `is_last`: there is no other that could be asked.
///
/// # Errors
/// When it says that it is not (503), says nothing, or cannot be reached: it counts as one that is not there.
pub(super) async fn expect_ready<P: Platform>(
    exchange: &Exchange<P>,
    cluster: &Cluster,
    replica: &Replica,
    is_last: bool,
) -> Result<(), AttemptError> {
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = url_at(&replica.url, cluster.engine.health_path())
        .map_err(|error| AttemptError::Send(SendError::Connect(error.to_string())))?;
    let asking = exchange.platform.send(UpstreamRequest {
        request,
        binding: None,
        secret: cluster.secret.clone(),
        connect_timeout: exchange.config.timeouts.connect,
        hold_back: Duration::ZERO,
    });
    let absent = |words: &str| AttemptError::Send(SendError::Connect(words.to_owned()));
    match exchange.within(ANSWERS_WITHIN, asking).await {
        None if is_last => Ok(()),
        None => Err(absent("its engine's /health says nothing")),
        Some(Ok(head)) if head.status() == StatusCode::SERVICE_UNAVAILABLE => Err(absent(AttemptError::NOT_READY)),
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(error.into()),
    }
}

/// Longer than an engine takes that has nothing to compute for it, also around the Earth.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
