//! Rollouts, for operators: how the versions of a model share its conversations, what requests have met at each, and orders
//! to begin, set, stop, and take back.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::future::join_all;
use http::request::Parts;
use http::{Method, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::admin::Operator;
use super::clusters::written;
use crate::api::RequestError;
use crate::cells::CellAddress;
use crate::config::Model;
use crate::hop::Role;
use crate::ids::VersionName;
use crate::pipeline::body::Body;
use crate::pipeline::context::{Exchange, Waiting};
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::receive;
use crate::platform::Platform;
use crate::rollout::{
    Change, Evidence, OrderRollout, PromptClass, ReadRollout, RolloutAction, RolloutPolicy, RolloutStatus, Weights,
};

/// `GET /admin/v1/rollouts`: all models with versions; those whose cells do not answer are named apart.
///
/// # Errors
/// Where gateways at the edge know of them.
pub(super) async fn list<P: Platform>(exchange: &Exchange<P>) -> Result<Response<Body>, Failure> {
    expect_edge(exchange)?;
    let models = exchange.config.models.values();
    let models = models.filter_map(|model| Some((model, model.rollout.as_deref()?)));
    let read = models.map(async |(model, policy)| match status(exchange, model).await {
        Some(status) => Ok(rollout_json(model, policy, &status)),
        None => Err(model.name.as_str()),
    });
    let (mut rollouts, mut unreachable) = (Vec::new(), Vec::new());
    for read in join_all(read).await {
        match read {
            Ok(rollout) => rollouts.push(rollout),
            Err(model) => unreachable.push(model),
        }
    }
    Ok(written(&json!({"rollouts": rollouts, "unreachable": unreachable})))
}

/// `GET`, `PUT` and `POST /admin/v1/rollouts/MODEL`: tells how a rollout stands, sets weights, or begins one, stops it at
/// its step, has it go on, or takes it back.
///
/// # Errors
/// When the model has no versions, the order makes no sense or is none for now, or the cell does not answer.
pub(super) async fn change<P, B, E>(
    operator: Operator<'_, P>,
    asked: &str,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let exchange = operator.exchange;
    expect_edge(exchange)?;
    let (model, policy, cell) = find(exchange, asked)?;
    let unreachable = || Failure::RolloutCell {
        model: model.name.to_string(),
    };
    let text = match head.method {
        Method::PUT | Method::POST => receive(exchange, &head.headers, body).await?,
        _ => {
            let status = status(exchange, model).await.ok_or_else(unreachable)?;
            return Ok(written(&rollout_json(model, policy, &status)));
        }
    };
    let (action, reason) = if head.method == Method::PUT {
        set(&text)?
    } else {
        act(&text)?
    };
    let order = OrderRollout {
        policy: policy.clone(),
        action,
        reason,
    };
    let limit = exchange.config.timeouts.cells;
    let ordered = exchange.call_cell(&cell, order, Waiting::Request, limit).await;
    let ordered = ordered.map_err(|_| unreachable())?;
    let ordered = ordered.map_err(|refused| wrong(refused.to_string()))?;
    let (before, after) = (in_short(&ordered.before), in_short(&ordered.status));
    if before != after {
        operator.on_changed("rollout", model.name.as_str(), &before, &after);
    }
    Ok(written(&rollout_json(model, policy, &ordered.status)))
}

/// How the rollout of a model with versions stands; `None` where its cell does not answer.
pub(super) async fn status<P: Platform>(exchange: &Exchange<P>, model: &Model) -> Option<RolloutStatus> {
    let policy = model.rollout.as_deref()?.clone();
    let (cell, limit) = (CellAddress::of_rollout(model)?, exchange.config.timeouts.cells);
    let asked = exchange.call_cell(&cell, ReadRollout { policy }, Waiting::Request, limit);
    asked.await.ok()
}

/// A region's gateways choose no versions, and know of no rollout.
fn expect_edge<P: Platform>(exchange: &Exchange<P>) -> Result<(), RequestError> {
    match exchange.gateway.role() {
        Role::All | Role::Edge => Ok(()),
        Role::Region => Err(RequestError::AskEdge),
    }
}

/// The model of that name or alias, which has versions.
fn find<'e, P: Platform>(
    exchange: &'e Exchange<P>,
    asked: &str,
) -> Result<(&'e Arc<Model>, &'e RolloutPolicy, CellAddress), RequestError> {
    let known = exchange.config.model(asked).and_then(|model| {
        let policy = model.rollout.as_deref()?;
        Some((model, policy, CellAddress::of_rollout(model)?))
    });
    known.ok_or_else(|| RequestError::UnknownRollout {
        asked: asked.to_owned(),
    })
}

fn wrong(detail: impl Into<String>) -> RequestError {
    let detail = detail.into();
    RequestError::WrongRollout { detail }
}

/// The weights that a body sets, and why.
fn set(text: &[u8]) -> Result<(RolloutAction, Option<String>), RequestError> {
    let SetJson { weights, reason } = read(text)?;
    if weights.is_empty() {
        return Err(wrong("`weights` must name a version"));
    }
    let part = |(version, percent): (String, f64)| {
        if (0.0..=100.0).contains(&percent) {
            let weight = (percent * f64::from(Weights::WHOLE / 100)).round() as u32;
            Ok((VersionName::from(version.as_str()), weight))
        } else {
            Err(wrong(format!("the weight of `{version}` must be from 0 to 100")))
        }
    };
    let named: Result<_, _> = weights.into_iter().map(part).collect();
    Ok((RolloutAction::Set(named?), in_bounds(reason)?))
}

/// What a body has a rollout do, and why.
fn act(text: &[u8]) -> Result<(RolloutAction, Option<String>), RequestError> {
    let ActJson {
        action,
        version,
        reason,
    } = read(text)?;
    let action = match (action, version) {
        (ActionJson::Start, Some(version)) => RolloutAction::Start(version.as_str().into()),
        (ActionJson::Start, None) => return Err(wrong("`version` must say which one takes over")),
        (ActionJson::Pause | ActionJson::Resume | ActionJson::Abort, Some(_)) => {
            return Err(wrong("`version` is for `start` alone"));
        }
        (ActionJson::Pause, None) => RolloutAction::Pause,
        (ActionJson::Resume, None) => RolloutAction::Resume,
        (ActionJson::Abort, None) => RolloutAction::Abort,
    };
    Ok((action, in_bounds(reason)?))
}

/// An object: structures would be read from lists as well.
fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, RequestError> {
    let members: Map<String, Value> = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_value(members.into()).map_err(|error| wrong(error.to_string()))
}

fn in_bounds(reason: Option<String>) -> Result<Option<String>, RequestError> {
    let is_long = |reason: &String| reason.chars().count() > LONGEST_REASON;
    if reason.as_ref().is_some_and(is_long) {
        return Err(wrong(format!("`reason` must have {LONGEST_REASON} characters at most")));
    }
    Ok(reason)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetJson {
    /// In percent.
    weights: BTreeMap<String, f64>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActJson {
    action: ActionJson,
    version: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActionJson {
    Start,
    Pause,
    Resume,
    Abort,
}

fn rollout_json(model: &Model, policy: &RolloutPolicy, status: &RolloutStatus) -> Value {
    let running = status.running.as_ref().map(|running| {
        json!({
            "version": running.version,
            "before": percents(&running.before),
            "since_s": seconds(running.since),
            "step_for_s": seconds(running.step_for),
            "paused": running.is_paused,
            "next": running.next.map(percent),
        })
    });
    let ended = status.ended.as_ref().map(|ended| {
        json!({
            "version": ended.version, "how": ended.how.as_str(), "reason": ended.reason, "ago_s": seconds(ended.ago),
        })
    });
    let versions = status.weights.iter().filter(|(version, _)| policy.weights.has(version));
    // Those that have come since the weights were set have none.
    let new = policy
        .weights
        .iter()
        .filter(|(version, _)| !status.weights.has(version));
    let versions = versions.chain(new.map(|(version, _)| (version, 0)));
    let versions = versions.map(|(version, weight)| version_json((model, status), version, weight));
    json!({
        "model": model.name,
        "state": state(status),
        "in_force_in_s": seconds(status.in_force_in),
        "versions": versions.collect::<Vec<_>>(),
        "rollout": running,
        "ended": ended,
        "steps": policy.steps,
        "step_after_s": policy.step_after.map(seconds),
        "min_requests": policy.min_requests,
        "log": status.log.iter().map(change_json).collect::<Vec<_>>(),
    })
}

fn version_json((model, status): (&Model, &RolloutStatus), version: &VersionName, weight: u32) -> Value {
    let of_version = |name: &&VersionName| *name == version;
    let clusters = model.serving.iter();
    let clusters = clusters.filter(|serving| serving.version.as_ref().is_some_and(|name| of_version(&name)));
    let clusters: Vec<_> = clusters.map(|serving| serving.cluster.name.as_str()).collect();
    let evidence = status.evidence.iter().find(|(name, _)| name == version);
    let none = Evidence::default();
    let evidence = evidence.map_or(&none, |(_, evidence)| evidence);
    let faults: Map<_, _> = evidence
        .faults()
        .map(|(kind, count)| (kind.as_str().to_owned(), count.into()))
        .collect();
    let first_tokens = PromptClass::all().filter_map(|class| {
        let (from, below) = class.bounds();
        let median = evidence.median(class)?;
        Some(json!({"tokens_from": from, "tokens_below": below, "median_ms": median.as_millis() as u64}))
    });
    json!({
        "version": version,
        "weight": percent(weight),
        "clusters": clusters,
        "requests": evidence.requests,
        "failed": evidence.failed(),
        "faults": faults,
        "first_tokens": first_tokens.collect::<Vec<_>>(),
    })
}

fn change_json(change: &Change) -> Value {
    json!({
        "change": change.kind.as_str(),
        "version": change.version,
        "weights": percents(&change.weights),
        "reason": change.reason,
        "ago_s": seconds(change.ago),
    })
}

fn state(status: &RolloutStatus) -> &'static str {
    match &status.running {
        None => "steady",
        Some(running) if running.is_paused => "paused",
        Some(_) => "running",
    }
}

/// As the log of changes has it.
fn in_short(status: &RolloutStatus) -> String {
    let version: Option<&str> = status.running.as_ref().map(|running| running.version.as_str());
    json!({"state": state(status), "version": version, "weights": percents(&status.weights)}).to_string()
}

fn percents(weights: &Weights) -> Value {
    let percents = weights
        .iter()
        .map(|(version, weight)| (version.to_string(), percent(weight)));
    percents.collect::<Map<_, _>>().into()
}

fn percent(weight: u32) -> Value {
    let whole = Weights::WHOLE / 100;
    if weight.is_multiple_of(whole) {
        (weight / whole).into()
    } else {
        (f64::from(weight) / f64::from(whole)).into()
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}

const LONGEST_REASON: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_say_one_thing_each() {
        let (action, reason) =
            act(br#"{"action": "start", "version": "v2", "reason": "new weights"}"#).expect("an order");
        assert_eq!(
            (action, reason.as_deref()),
            (RolloutAction::Start("v2".into()), Some("new weights"))
        );
        let (action, _) = set(br#"{"weights": {"v2": 12.5}}"#).expect("weights");
        assert_eq!(action, RolloutAction::Set(vec![("v2".into(), 1_250)]));
        let long = format!(r#"{{"action": "pause", "reason": "{}"}}"#, "x".repeat(201));
        for wrong in [
            r#"{"action": "start"}"#,
            r#"{"action": "pause", "version": "v2"}"#,
            r#"{"action": "stop"}"#,
            r#"{"weights": {}}"#,
            "[]",
            "",
            &long,
        ] {
            assert!(act(wrong.as_bytes()).is_err(), "{wrong}");
        }
        for wrong in [
            r#"{"weights": {}}"#,
            r#"{"weights": {"v2": -1}}"#,
            r#"{"weights": {"v2": 1e9}}"#,
            r#"{"v2": 1}"#,
        ] {
            assert!(set(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
