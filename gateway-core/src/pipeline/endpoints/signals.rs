//! Asking a cluster's engines when an operator, or a scheduler in the operator's name, says so.

use std::sync::Arc;

use http::Response;
use serde_json::json;

use super::clusters;
use crate::ladder::AttemptError;
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::maintain::{Poll, Polled};
use crate::pipeline::response;
use crate::platform::Platform;

/// `POST /admin/v1/clusters/CLUSTER/poll`: asks its engines what they say of themselves, where it is time for that, and tells
/// how many have said something. A gateway that sends requests for the cluster to a region hop refuses: it is asked there.
pub(super) async fn poll<P: Platform>(exchange: &Exchange<P>, cluster: &str) -> Result<Response<Body>, Failure> {
    let cluster = clusters::find_here(exchange, cluster)?;
    let poll = Poll {
        gateway: Arc::clone(&exchange.gateway),
        platform: exchange.platform.clone(),
        config: Arc::clone(&exchange.config),
        cluster: Arc::clone(cluster),
    };
    let (has_turn, read) = match poll.run().await.map_err(AttemptError::from)? {
        Polled::NoTurn => (false, 0),
        Polled::Read(read) => (true, read),
    };
    let body = json!({
        "cluster": cluster.name.as_str(),
        "turn": has_turn,
        "replicas": cluster.replicas.len(),
        "read": read,
    });
    Ok(response::json(body.to_string().into()))
}
