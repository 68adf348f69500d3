//! Everything but generating: models, health, metrics, and the configuration for operators.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::body::Body;
use super::estimates::correction_in_cell;
use super::exchange::Exchange;
use super::failure::Failure;
use super::permits::{address, command};
use super::receive::receive;
use super::{budgets, respond};
use crate::api::{RequestError, model_item, model_list};
use crate::auth::{authenticate, authenticate_admin};
use crate::cells::CellReply;
use crate::cluster::{ClusterCommand, ClusterReply, ReplicaStatus};
use crate::config::Cluster;
use crate::ids::Tokens;
use crate::observe::Told;
use crate::platform::Platform;

/// `GET /v1/models`: what the key may ask for.
pub(super) fn models<P: Platform>(exchange: &Exchange<P>, head: &Parts) -> Result<Response<Body>, Failure> {
    let tenant = authenticate(&exchange.config, &head.headers)?.tenant;
    let models = exchange
        .config
        .models
        .values()
        .filter(|model| tenant.may_use(&model.name));
    Ok(respond::json(model_list(models.map(Arc::as_ref))))
}

/// `GET /v1/models/{id}`.
pub(super) fn model<P: Platform>(exchange: &Exchange<P>, head: &Parts, asked: &str) -> Result<Response<Body>, Failure> {
    let tenant = authenticate(&exchange.config, &head.headers)?.tenant;
    let asked = percent_encoding::percent_decode_str(asked).decode_utf8_lossy();
    match exchange
        .config
        .model(&asked)
        .filter(|model| tenant.may_use(&model.name))
    {
        Some(model) => Ok(respond::json(model_item(model))),
        None => Err(RequestError::UnknownModel {
            model: asked.into_owned(),
        }
        .into()),
    }
}

/// `GET /readyz`.
pub(super) fn readiness<P: Platform>(exchange: &Exchange<P>) -> Response<Body> {
    let draining = exchange.gateway.stop.is_draining();
    let status = if draining { "draining" } else { "ready" };
    let body = json!({
        "status": status,
        "config": exchange.config.version,
        "config_refused": exchange.gateway.live.is_refusing(),
        "token_tables": exchange.gateway.tables.names(),
    });
    let mut response = respond::json(body.to_string().into());
    if draining {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

/// `GET /metrics`: for admin keys where the configuration has any, else for everybody.
pub(super) async fn metrics<P: Platform>(exchange: &Exchange<P>, head: &Parts) -> Result<Response<Body>, Failure> {
    let admin = &exchange.config.admin;
    if !admin.keys.is_empty() {
        authenticate_admin(admin, &head.headers)?;
    }
    let mut told = Told::default();
    for cluster in exchange.config.clusters.values() {
        told.clusters
            .push((cluster.name.clone(), replica_statuses(exchange, cluster).await));
    }
    for model in exchange.config.models.values().filter(|model| model.tokens.is_none()) {
        let correction = correction_in_cell(&exchange.platform, model).await;
        told.corrections
            .extend(correction.map(|correction| (model.name.clone(), correction)));
    }
    for budget in exchange.config.tenants.iter().flat_map(|tenant| &tenant.budgets) {
        let status = budgets::status(exchange, budget).await;
        told.budgets.extend(status.map(|status| (budget.id.clone(), status)));
    }
    let text = exchange.gateway.metrics.scrape(&told);
    Ok(respond::with_type(
        text.into(),
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ))
}

/// Every replica of a cluster that is configured or still holds permits; none when the cell does not answer. A cell
/// keeps nothing of replicas that are idle and well, so what it does not know is just that.
async fn replica_statuses<P: Platform>(exchange: &Exchange<P>, cluster: &Cluster) -> Vec<ReplicaStatus> {
    let reply = exchange
        .platform
        .cell_call(&address(cluster), command(ClusterCommand::Status))
        .await;
    let Ok(CellReply::Cluster(ClusterReply::Status(mut statuses))) = reply else {
        return Vec::new();
    };
    for replica in &cluster.replicas {
        if statuses.iter().all(|status| status.replica != replica.name) {
            let replica = replica.name.clone();
            statuses.push(ReplicaStatus {
                replica,
                running: 0,
                kv_tokens: Tokens(0),
                available: true,
            });
        }
    }
    statuses
}

/// `GET /admin/config`: the text in force.
pub(super) fn read_config<P: Platform>(exchange: &Exchange<P>, head: &Parts) -> Result<Response<Body>, Failure> {
    authenticate_admin(&exchange.config.admin, &head.headers)?;
    let mut response = respond::with_type(exchange.gateway.live.text(), "application/toml");
    if let Ok(version) = HeaderValue::from_str(&exchange.config.version) {
        response.headers_mut().insert("x-tidegate-config", version);
    }
    Ok(response)
}

/// `PUT /admin/config`: puts a configuration in force, everywhere within the time that `config_refresh` and the
/// store take. One that is wrong changes nothing, and everything that is wrong with it is told.
pub(super) async fn write_config<P, B, E>(
    exchange: &Exchange<P>,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    authenticate_admin(&exchange.config.admin, &head.headers)?;
    let text = receive(&exchange.platform, &head.headers, body, &exchange.config.limits).await?;
    let not_text = |_| Failure::Config("the configuration is not UTF-8".to_owned());
    let gateway = &exchange.gateway;
    let config = gateway.check_config(std::str::from_utf8(&text).map_err(not_text)?);
    let version = config.map_err(|errors| Failure::Config(errors.to_string()))?.version;
    gateway.live.publish(gateway, &exchange.platform, text).await?;
    Ok(respond::json(json!({"version": version}).to_string().into()))
}
