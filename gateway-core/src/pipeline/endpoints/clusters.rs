//! How clusters stand, for operators: what each replica holds, how its breaker stands, and what waits. It tells what the
//! cells know; a gateway at the edge knows nothing of a cluster behind a region hop, and says where to ask.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join, join_all};
use http::Response;
use serde::Serialize;
use serde_json::Value;

use super::drains::drain_json;
use crate::api::RequestError;
use crate::cells::CellAddress;
use crate::cluster::{BreakerStanding, QueueStatus, ReadQueue, ReadReplicas, ReplicaStatus};
use crate::config::{Cluster, HopAddress};
use crate::pipeline::body::Body;
use crate::pipeline::context::{Exchange, Waiting};
use crate::pipeline::failure::Failure;
use crate::pipeline::response;
use crate::platform::Platform;

/// `GET /admin/v1/clusters`: all of them.
pub(super) async fn list<P: Platform>(exchange: &Exchange<P>) -> Result<Response<Body>, Failure> {
    let clusters = exchange.config.clusters.values();
    let clusters = join_all(clusters.map(|cluster| read(exchange, cluster))).await;
    Ok(written(&ClustersJson { clusters }))
}

/// `GET /admin/v1/clusters/CLUSTER`
pub(super) async fn one<P: Platform>(exchange: &Exchange<P>, asked: &str) -> Result<Response<Body>, Failure> {
    Ok(written(&read(exchange, find(exchange, asked)?).await))
}

/// The cluster of that name.
///
/// # Errors
/// When there is none.
fn find<'e, P: Platform>(exchange: &'e Exchange<P>, asked: &str) -> Result<&'e Arc<Cluster>, RequestError> {
    let mut clusters = exchange.config.clusters.values();
    let unknown = || RequestError::UnknownCluster {
        asked: asked.to_owned(),
    };
    clusters
        .find(|cluster| cluster.name.as_str() == asked)
        .ok_or_else(unknown)
}

/// A cluster whose replicas this gateway knows.
///
/// # Errors
/// Where there is none of that name, or a region hop knows them: it is to be asked.
pub(super) fn find_here<'e, P: Platform>(
    exchange: &'e Exchange<P>,
    asked: &str,
) -> Result<&'e Arc<Cluster>, RequestError> {
    let cluster = find(exchange, asked)?;
    match exchange.hop(cluster) {
        None => Ok(cluster),
        Some(hop) => Err(RequestError::AskRegion {
            cluster: cluster.name.to_string(),
            at: hop.to_string(),
        }),
    }
}

/// Every replica of a cluster that is configured or that its cell knows; `None` when that does not answer. A cell keeps
/// nothing of replicas that are idle and well, so what it does not know is just that.
pub(super) async fn replicas<P: Platform>(exchange: &Exchange<P>, cluster: &Cluster) -> Option<Vec<ReplicaStatus>> {
    let (cell, limit) = (CellAddress::of_cluster(cluster), exchange.config.timeouts.cells);
    let replied = exchange.call_cell(&cell, ReadReplicas, Waiting::Request, limit);
    let mut statuses = replied.await.ok()?;
    for replica in &cluster.replicas {
        if statuses.iter().all(|status| status.replica != replica.name) {
            statuses.push(ReplicaStatus::idle(replica.name.clone()));
        }
    }
    Some(statuses)
}

/// What waits at a cluster; `None` when its cell does not answer.
pub(super) async fn queue<P: Platform>(exchange: &Exchange<P>, cluster: &Cluster) -> Option<QueueStatus> {
    let (cell, limit) = (CellAddress::of_cluster(cluster), exchange.config.timeouts.cells);
    let replied = exchange.call_cell(&cell, ReadQueue, Waiting::Request, limit);
    replied.await.ok()
}

async fn read<'c, P: Platform>(exchange: &Exchange<P>, cluster: &'c Cluster) -> ClusterJson<'c> {
    let hop = exchange.hop(cluster);
    let (replicas, queue) = match hop {
        Some(_) => (None, None),
        None => join(replicas(exchange, cluster), queue(exchange, cluster)).await,
    };
    let replica = |status| ReplicaJson::new(cluster, status);
    let replicas: Option<Vec<_>> = replicas.map(|replicas| replicas.into_iter().map(replica).collect());
    let takes = |replica: &ReplicaJson| replica.takes_requests;
    ClusterJson {
        cluster: cluster.name.as_str(),
        region: cluster.region.name.as_str(),
        engine: cluster.engine.as_str(),
        ask_at: hop.map(HopAddress::to_string),
        max_running: cluster.policy.capacity.requests,
        kv_cache_tokens: cluster.policy.capacity.kv_tokens.0,
        takes_requests: replicas.as_ref().map(|replicas| replicas.iter().any(takes)),
        queue: queue.map(QueueJson::from),
        replicas,
    }
}

pub(super) fn written(json: &impl Serialize) -> Response<Body> {
    response::json(Bytes::from(serde_json::to_vec(json).unwrap_or_default()))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct ClustersJson<'c> {
    clusters: Vec<ClusterJson<'c>>,
}

#[derive(Serialize)]
struct ClusterJson<'c> {
    cluster: &'c str,
    region: &'c str,
    engine: &'static str,
    /// The region hop that knows, where this gateway does not.
    ask_at: Option<String>,
    /// Of each replica.
    max_running: u32,
    /// Of each replica.
    kv_cache_tokens: u64,
    /// Whether any replica does.
    takes_requests: Option<bool>,
    replicas: Option<Vec<ReplicaJson>>,
    queue: Option<QueueJson>,
}

/// A replica as operators see it.
#[derive(Serialize)]
pub(super) struct ReplicaJson {
    replica: String,
    /// Whether the configuration names it; one that it names no more is told as long as requests run there.
    configured: bool,
    running: u32,
    kv_tokens: u64,
    takes_requests: bool,
    breaker: &'static str,
    /// In how long the breaker lets a request pass.
    breaker_passes_in_ms: Option<u64>,
    drain: Option<Value>,
    /// What detectors found in its answers.
    watched: Option<WatchedJson>,
}

/// What detectors found in a replica's answers, as operators see it.
#[derive(Serialize)]
struct WatchedJson {
    answers: u64,
    faulty: u64,
    left_alone_ms: Option<u64>,
}

impl ReplicaJson {
    pub fn new(cluster: &Cluster, status: ReplicaStatus) -> Self {
        let configured = cluster.replicas.iter().any(|replica| replica.name == status.replica);
        Self {
            configured,
            running: status.running,
            kv_tokens: status.kv_tokens.0,
            takes_requests: configured && status.available && status.drain.is_none(),
            breaker: match status.breaker {
                BreakerStanding::Closed => "closed",
                BreakerStanding::Open => "open",
                BreakerStanding::HalfOpen => "half_open",
            },
            breaker_passes_in_ms: status.breaker_passes_in.map(ms),
            drain: status
                .drain
                .map(|drain| drain_json(&drain, status.running, status.kv_tokens.0)),
            watched: status.watched.map(|watched| WatchedJson {
                answers: watched.answers,
                faulty: watched.faulty,
                left_alone_ms: watched.left_alone_for.map(ms),
            }),
            replica: status.replica.to_string(),
        }
    }
}

#[derive(Serialize)]
struct QueueJson {
    requests: u32,
    by_priority: ByPriorityJson,
    bytes: u64,
    oldest_ms: u64,
    expected_wait_ms: u64,
}

#[derive(Serialize)]
struct ByPriorityJson {
    high: u32,
    normal: u32,
    low: u32,
}

impl From<QueueStatus> for QueueJson {
    fn from(status: QueueStatus) -> Self {
        let [high, normal, low] = status.by_priority;
        Self {
            requests: status.requests,
            by_priority: ByPriorityJson { high, normal, low },
            bytes: status.bytes,
            oldest_ms: ms(status.oldest),
            expected_wait_ms: if status.requests == 0 { 0 } else { ms(status.expected) },
        }
    }
}
