//! How many replicas clusters should have, for operators and for what scales in their name. The answers are flat, so that a
//! path of one name leads to each number in them. A gateway at the edge knows nothing of a cluster behind a region hop, and
//! says where to ask.

use std::time::Duration;

use futures::future::join_all;
use http::Response;
use serde::Serialize;
use serde_json::json;

use super::clusters::{self, written};
use crate::cells::CellAddress;
use crate::cluster::{Figures, LatencySketch, ReadScale, Scale};
use crate::config::{Cluster, HopAddress};
use crate::pipeline::body::Body;
use crate::pipeline::context::{Exchange, Waiting};
use crate::pipeline::failure::Failure;
use crate::platform::Platform;

/// `GET /admin/v1/scale`: of all clusters that this gateway knows; those whose cells do not answer, and those that a region
/// hop knows, are named apart.
pub(super) async fn list<P: Platform>(exchange: &Exchange<P>) -> Response<Body> {
    let clusters = exchange.config.clusters.values();
    let (here, elsewhere): (Vec<_>, Vec<_>) = clusters.partition(|cluster| exchange.hop(cluster).is_none());
    let asked = join_all(
        here.iter()
            .map(async |cluster| (cluster, read(exchange, cluster).await)),
    )
    .await;
    let known = asked
        .iter()
        .filter_map(|(cluster, scale)| Some(ScaleJson::new(cluster, scale.as_ref()?)));
    let unreachable = asked.iter().filter(|(_, scale)| scale.is_none());
    let unreachable = unreachable.map(|(cluster, _)| cluster.name.as_str());
    let ask_at = elsewhere.iter().map(|cluster| {
        let at = exchange.hop(cluster).map(HopAddress::to_string);
        json!({"cluster": cluster.name.as_str(), "ask_at": at})
    });
    written(&json!({
        "clusters": known.collect::<Vec<_>>(),
        "unreachable": unreachable.collect::<Vec<_>>(),
        "elsewhere": ask_at.collect::<Vec<_>>(),
    }))
}

/// `GET /admin/v1/scale/CLUSTER`
///
/// # Errors
/// When there is no such cluster, another gateway knows of it, or its cell does not answer: then nobody is to scale.
pub(super) async fn one<P: Platform>(exchange: &Exchange<P>, asked: &str) -> Result<Response<Body>, Failure> {
    let cluster = clusters::find_here(exchange, asked)?;
    let scale = read(exchange, cluster).await.ok_or_else(|| Failure::Cell {
        cluster: cluster.name.to_string(),
    })?;
    Ok(written(&ScaleJson::new(cluster, &scale)))
}

/// What a cluster's cell advises; `None` when it does not answer.
pub(super) async fn read<P: Platform>(exchange: &Exchange<P>, cluster: &Cluster) -> Option<Scale> {
    let (cell, limit) = (CellAddress::of_cluster(cluster), exchange.config.timeouts.cells);
    let read = ReadScale {
        policy: cluster.policy.clone(),
        scaling: cluster.scaling,
    };
    exchange.call_cell(&cell, read, Waiting::Request, limit).await.ok()
}

/// The advice as who scales reads it, and all that it was made of.
#[derive(Serialize)]
struct ScaleJson<'s> {
    cluster: &'s str,
    desired_replicas: u32,
    reasons: &'s [String],
    min_replicas: u32,
    max_replicas: u32,
    configured_replicas: u32,
    serving_replicas: u32,
    loading_replicas: u32,
    draining_replicas: u32,
    ill_replicas: u32,
    standby_replicas: u32,
    unknown_replicas: u32,
    ttft_ms_p95: Option<f64>,
    ttft_relative_error: f64,
    ttft_streams: u64,
    queue_requests: u32,
    queue_oldest_ms: f64,
    queue_tokens: u64,
    in_flight_requests: u32,
    in_flight_tokens: u64,
    batch_fullness: f64,
    kv_cache_usage: f64,
    arrival_requests_per_s: f64,
    arrival_tokens_per_s: f64,
    arrival_tokens_per_s_per_minute: f64,
    expected_arrival_tokens_per_s: f64,
    prefill_tokens_per_s: f64,
    decode_tokens_per_s: f64,
    cold_start_ms: f64,
}

impl<'s> ScaleJson<'s> {
    fn new(cluster: &'s Cluster, scale: &'s Scale) -> Self {
        let Scale { advice, figures } = scale;
        let Figures { replicas, waiting, .. } = figures;
        Self {
            cluster: cluster.name.as_str(),
            desired_replicas: advice.desired,
            reasons: &advice.reasons,
            min_replicas: cluster.scaling.min_replicas,
            max_replicas: cluster.scaling.max_replicas,
            configured_replicas: replicas.configured(),
            serving_replicas: replicas.serving,
            loading_replicas: replicas.loading,
            draining_replicas: replicas.draining,
            ill_replicas: replicas.ill,
            standby_replicas: replicas.standby,
            unknown_replicas: replicas.unknown,
            ttft_ms_p95: figures.ttft_p95.map(ms),
            ttft_relative_error: LatencySketch::RELATIVE_ERROR,
            ttft_streams: figures.ttft_streams,
            queue_requests: waiting.requests,
            queue_oldest_ms: ms(waiting.oldest),
            queue_tokens: waiting.tokens.0,
            in_flight_requests: figures.running,
            in_flight_tokens: figures.running_tokens.0,
            batch_fullness: rounded(figures.batch_fullness),
            kv_cache_usage: rounded(figures.kv_cache_usage),
            arrival_requests_per_s: rounded(figures.arrival.requests_per_s),
            arrival_tokens_per_s: rounded(figures.arrival.tokens_per_s),
            arrival_tokens_per_s_per_minute: rounded(figures.arrival_trend * 60.0),
            expected_arrival_tokens_per_s: rounded(figures.arrival_ahead.tokens_per_s),
            prefill_tokens_per_s: rounded(figures.prefill_tokens_per_s),
            decode_tokens_per_s: rounded(figures.decode_tokens_per_s),
            cold_start_ms: ms(figures.cold_start),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_millis() as f64
}

/// To three digits behind the point.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
