//! Draining a replica, for operators: it gets no more requests, and those that run there go on to their ends.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::request::Parts;
use http::{Method, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::admin::Operator;
use super::clusters::{self, ReplicaJson, written};
use crate::api::RequestError;
use crate::cells::{CellAddress, CellError};
use crate::cluster::{DrainOrder, DrainStatus, ReplicaStatus, SetDrain};
use crate::config::Cluster;
use crate::pipeline::body::Body;
use crate::pipeline::context::Waiting;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::receive;
use crate::platform::Platform;

/// `GET`, `POST` and `DELETE /admin/v1/clusters/CLUSTER/replicas/REPLICA/drain`: tells how a replica stands, has it drain,
/// or be as others again. A replica is named by its URL, percent-encoded, or by what stands in that behind `://`.
///
/// # Errors
/// When there is no such replica, another gateway knows of it, or its cell does not answer.
pub(super) async fn change<P, B, E>(
    operator: Operator<'_, P>,
    [cluster, replica]: [&str; 2],
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let exchange = operator.exchange;
    let cluster = clusters::find_here(exchange, cluster)?;
    let statuses = clusters::replicas(exchange, cluster).await;
    let statuses = statuses.ok_or_else(|| unreachable(cluster))?;
    let unknown = || RequestError::UnknownReplica {
        asked: replica.to_owned(),
        cluster: cluster.name.to_string(),
    };
    let status = find(statuses, replica).ok_or_else(unknown)?;
    let order = match head.method {
        Method::POST => Some(DrainOrder {
            ttl: exchange.config.permits.ttl,
            ..order(&receive(exchange, &head.headers, body).await?)?
        }),
        Method::DELETE => None,
        _ => return Ok(written(&ReplicaJson::new(cluster, status))),
    };
    let replica = status.replica;
    let (cell, limit) = (CellAddress::of_cluster(cluster), exchange.config.timeouts.cells);
    let told = order.as_ref().map_or("none".to_owned(), |order| {
        json!({"deadline_s": order.deadline.as_secs(), "reason": order.reason}).to_string()
    });
    let set = SetDrain { replica, order };
    let set = exchange.call_cell(&cell, set, Waiting::Request, limit).await;
    let set = set.map_err(|_: CellError| unreachable(cluster))?;
    let which = format!("{}/{}", cluster.name, set.status.replica);
    let before = in_short(set.before.as_ref());
    if before != told {
        operator.on_changed("drain", &which, &before, &told);
    }
    Ok(written(&ReplicaJson::new(cluster, set.status)))
}

fn unreachable(cluster: &Cluster) -> Failure {
    Failure::Cell {
        cluster: cluster.name.to_string(),
    }
}

fn in_short(before: Option<&DrainStatus>) -> String {
    before.map_or("none".to_owned(), |before| {
        json!({"since_s": before.since.as_secs(), "deadline_in_s": before.deadline_in.as_secs(), "reason": before.reason})
            .to_string()
    })
}

/// The replica of that name, or the only one that is called so behind its scheme.
fn find(statuses: Vec<ReplicaStatus>, asked: &str) -> Option<ReplicaStatus> {
    let (mut exact, mut alike): (Vec<_>, Vec<_>) = statuses
        .into_iter()
        .filter(|status| matches(status.replica.as_str(), asked))
        .partition(|status| status.replica.as_str() == asked);
    exact.pop().or_else(|| alike.pop().filter(|_| alike.is_empty()))
}

fn matches(name: &str, asked: &str) -> bool {
    name == asked || name.split_once("://").is_some_and(|(_, behind)| behind == asked)
}

/// What a body says; an empty one says nothing but the defaults.
fn order(text: &[u8]) -> Result<DrainOrder, RequestError> {
    let wrong = |detail: String| RequestError::WrongDrain { detail };
    let members: Map<String, Value> = if text.iter().all(u8::is_ascii_whitespace) {
        Map::new()
    } else {
        serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?
    };
    let written: OrderJson = serde_json::from_value(members.into()).map_err(|error| wrong(error.to_string()))?;
    if !(1..=LONGEST_S).contains(&written.deadline_s) {
        return Err(wrong(format!("`deadline_s` must be from 1 to {LONGEST_S}")));
    }
    if written
        .reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > LONGEST_REASON)
    {
        return Err(wrong(format!("`reason` must have {LONGEST_REASON} characters at most")));
    }
    Ok(DrainOrder {
        deadline: Duration::from_secs(written.deadline_s),
        reason: written.reason,
        ttl: Duration::ZERO,
    })
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OrderJson {
    deadline_s: u64,
    reason: Option<String>,
}

impl Default for OrderJson {
    fn default() -> Self {
        Self {
            deadline_s: DEFAULT_S,
            reason: None,
        }
    }
}

/// What the cell knows of a drain, with what is left there.
pub(super) fn drain_json(drain: &DrainStatus, running: u32, kv_tokens: u64) -> Value {
    let seconds = |duration: Duration| duration.as_millis() as f64 / 1e3;
    json!({
        "since_s": seconds(drain.since),
        "deadline_in_s": seconds(drain.deadline_in),
        "overdue": running > 0 && drain.deadline_in.is_zero(),
        "done": drain.is_done,
        "left": running,
        "kv_tokens": kv_tokens,
        "oldest_s": drain.oldest.map(seconds),
        "ends_in_s": drain.ends_in.map(seconds),
        "reason": drain.reason,
    })
}

/// Longer than nearly every answer takes, and as long as the example for Kubernetes waits.
const DEFAULT_S: u64 = 900;
const LONGEST_S: u64 = 24 * 60 * 60;
const LONGEST_REASON: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_found_by_its_url_and_by_what_is_told_apart_behind_the_scheme() {
        let statuses = || ["http://a:8000", "https://a:8000", "http://b"].map(|name| ReplicaStatus::idle(name.into()));
        let found = |asked| find(statuses().into(), asked).map(|status| status.replica.to_string());
        assert_eq!(found("http://a:8000").as_deref(), Some("http://a:8000"));
        assert_eq!(found("b").as_deref(), Some("http://b"));
        for asked in ["a:8000", "c", "http://c", ""] {
            assert_eq!(found(asked), None, "{asked}");
        }
    }

    #[test]
    fn an_order_has_defaults_and_bounds() {
        let deadline = |text: &str| order(text.as_bytes()).map(|order| order.deadline.as_secs());
        assert_eq!(deadline(""), Ok(900));
        assert_eq!(deadline("{}"), Ok(900));
        assert_eq!(deadline(r#"{"deadline_s": 30, "reason": "new driver"}"#), Ok(30));
        let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(201));
        for wrong in [
            r#"{"deadline_s": 0}"#,
            r#"{"deadline_s": 86401}"#,
            r#"{"dead": 1}"#,
            "[]",
            &long,
        ] {
            assert!(deadline(wrong).is_err(), "{wrong}");
        }
    }
}
