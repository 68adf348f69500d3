//! How budgets stand: for a key's own tenant, and for operators, who can also set limits in place of the configuration's.

use std::fmt::Display;

use bytes::Bytes;
use futures::Stream;
use futures::future::join_all;
use http::request::Parts;
use http::{Method, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::admin::Operator;
use crate::api::{Dialect, RequestError};
use crate::auth::authenticate;
use crate::budget::{Amount, BudgetError, BudgetLimits, BudgetStatus, Rate, ReadBudget, SetLimits, Totals};
use crate::cells::CellCall;
use crate::config::Budget;
use crate::ids::{BudgetId, ModelName};
use crate::pipeline::body::Body;
use crate::pipeline::context::{Exchange, Waiting};
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::receive;
use crate::pipeline::leases::address;
use crate::pipeline::response;
use crate::platform::Platform;

/// `GET /v1/usage`: the budgets of the key's tenant.
pub(in crate::pipeline) async fn usage<P: Platform>(
    exchange: &Exchange<P>,
    head: &Parts,
) -> Result<Response<Body>, Failure> {
    let tenant = authenticate(&exchange.config, Dialect::default(), &head.headers)?.tenant;
    let statuses = join_all(tenant.budgets.iter().map(|budget| status(exchange, budget))).await;
    let mut budgets = Vec::new();
    for (budget, status) in tenant.budgets.iter().zip(statuses) {
        budgets.push(BudgetJson::new(budget, &status?, false));
    }
    let tenant = tenant.name.as_str();
    Ok(response::json(to_json(&UsageJson {
        object: "usage",
        tenant,
        budgets,
    })))
}

/// `GET /admin/v1/budgets`: all of them. Those whose cells do not answer are named apart.
pub(super) async fn list<P: Platform>(exchange: &Exchange<P>) -> Result<Response<Body>, Failure> {
    let budgets: Vec<_> = exchange
        .config
        .tenants
        .iter()
        .flat_map(|tenant| &tenant.budgets)
        .collect();
    let statuses = join_all(budgets.iter().map(|budget| status(exchange, budget))).await;
    let mut listed = BudgetsJson::default();
    for (budget, status) in budgets.into_iter().zip(statuses) {
        match status {
            Ok(status) => listed.budgets.push(BudgetJson::new(budget, &status, true)),
            Err(_) => listed.unreachable.push(budget.id.to_string()),
        }
    }
    Ok(response::json(to_json(&listed)))
}

/// `GET`, `PUT` and `DELETE /admin/v1/budgets/TENANT/NAME`: reads a budget, changes some of its limits, or puts the
/// configuration's back. Limits hold everywhere within a third of `leases.ttl_ms`.
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
    let mut budgets = exchange.config.tenants.iter().flat_map(|tenant| &tenant.budgets);
    let unknown = || RequestError::UnknownBudget {
        asked: asked.to_owned(),
    };
    let budget = budgets
        .find(|budget| budget.id.to_string() == asked)
        .ok_or_else(unknown)?;
    let before = status(exchange, budget).await?;
    let set = match head.method {
        Method::PUT => {
            let text = receive(exchange, &head.headers, body).await?;
            Some(SetLimits(Some(changed(before.limits, &text)?)))
        }
        Method::DELETE => Some(SetLimits(None)),
        _ => None,
    };
    let Some(set) = set else {
        return Ok(response::json(to_json(&BudgetJson::new(budget, &before, true))));
    };
    call(exchange, budget, set).await?;
    let after = status(exchange, budget).await?;
    let told = [&before, &after].map(|status| Value::Object(in_force_json(status.limits)).to_string());
    operator.on_changed("budget", asked, &told[0], &told[1]);
    Ok(response::json(to_json(&BudgetJson::new(budget, &after, true))))
}

/// How a budget stands.
///
/// # Errors
/// When its cell does not answer.
pub(in crate::pipeline) async fn status<P: Platform>(
    exchange: &Exchange<P>,
    budget: &Budget,
) -> Result<BudgetStatus, BudgetError> {
    let limits = budget.limits;
    call(exchange, budget, ReadBudget { limits }).await
}

async fn call<P: Platform>(
    exchange: &Exchange<P>,
    budget: &Budget,
    call: impl CellCall<Reply = BudgetStatus>,
) -> Result<BudgetStatus, BudgetError> {
    let (cell, limit) = (address(budget), exchange.config.timeouts.cells);
    let status = exchange.call_cell(&cell, call, Waiting::Request, limit).await;
    status.map_err(|_| BudgetError::Unreachable {
        wait: std::time::Duration::from_secs(1),
    })
}

/// The limits in force, with those that `text` names in place of what they were: a JSON merge patch (RFC 7396), in which
/// `null` takes a limit away. A burst of a minute's worth stays one where it is not named.
fn changed(in_force: BudgetLimits, text: &[u8]) -> Result<BudgetLimits, RequestError> {
    let wrong = |detail: &str| RequestError::WrongLimits {
        detail: detail.to_owned(),
    };
    let change: Map<String, Value> = serde_json::from_slice(text).map_err(|error| wrong(&error.to_string()))?;
    if change.is_empty() {
        return Err(wrong("they change nothing"));
    }
    let mut merged = in_force_json(in_force);
    for (rate, burst) in [
        ("tokens_per_minute", "burst_tokens"),
        ("requests_per_minute", "burst_requests"),
    ] {
        if change.contains_key(rate) && merged.get(rate) == merged.get(burst) {
            merged.remove(burst);
        }
    }
    for (name, value) in change {
        if merged.remove(&name).is_none() || !value.is_null() {
            merged.insert(name, value);
        }
    }
    let written: LimitsJson = serde_json::from_value(merged.into()).map_err(|error| wrong(&error.to_string()))?;
    let limits = BudgetLimits::from(written);
    if written == LimitsJson::default() {
        Err(wrong(
            "nothing would be limited: DELETE puts the configuration's limits back",
        ))
    } else if limits.is_sound() {
        Ok(limits)
    } else {
        Err(wrong("a figure is out of range, as docs/budgets.md tells them"))
    }
}

fn in_force_json(limits: BudgetLimits) -> Map<String, Value> {
    match serde_json::to_value(LimitsJson::from(limits)) {
        Ok(Value::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(),
    }
}

fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[derive(Serialize)]
struct UsageJson<'a> {
    object: &'static str,
    tenant: &'a str,
    budgets: Vec<BudgetJson<'a>>,
}

#[derive(Default, Serialize)]
struct BudgetsJson<'a> {
    budgets: Vec<BudgetJson<'a>>,
    unreachable: Vec<String>,
}

/// A budget, with what only operators see where they ask.
#[derive(Serialize)]
struct BudgetJson<'a> {
    name: &'a str,
    models: Option<&'a [ModelName]>,
    limits: LimitsJson,
    tokens: LeftJson,
    requests: LeftJson,
    day: DayJson,
    running: u32,
    #[serde(flatten)]
    operators: Option<OperatorsJson<'a>>,
}

/// What is left of something, held by edge locations, and owed.
#[derive(Serialize)]
struct LeftJson {
    remaining: Option<u64>,
    held: u64,
    debt: u64,
    spent: u64,
}

#[derive(Serialize)]
struct DayJson {
    tokens_used: u64,
    tokens_remaining: Option<u64>,
    resets_in_s: u64,
}

#[derive(Serialize)]
struct OperatorsJson<'a> {
    tenant: &'a str,
    overridden: bool,
    holders: u32,
    token_totals: Totals,
    request_totals: Totals,
}

/// Limits as the configuration writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsJson {
    tokens_per_minute: Option<u64>,
    burst_tokens: Option<u64>,
    requests_per_minute: Option<u64>,
    burst_requests: Option<u64>,
    tokens_per_day: Option<u64>,
    concurrent_requests: Option<u32>,
    day_starts_at_minute: u16,
}

impl From<LimitsJson> for BudgetLimits {
    fn from(json: LimitsJson) -> Self {
        let rate = |per_minute: Option<u64>, burst: Option<u64>| {
            per_minute.map(|per_minute| Rate {
                per_minute,
                burst: burst.unwrap_or(per_minute),
            })
        };
        Self {
            tokens: rate(json.tokens_per_minute, json.burst_tokens),
            requests: rate(json.requests_per_minute, json.burst_requests),
            tokens_per_day: json.tokens_per_day,
            concurrent_requests: json.concurrent_requests,
            day_starts_at_minute: json.day_starts_at_minute,
        }
    }
}

impl From<BudgetLimits> for LimitsJson {
    fn from(limits: BudgetLimits) -> Self {
        Self {
            tokens_per_minute: limits.tokens.map(|rate| rate.per_minute),
            burst_tokens: limits.tokens.map(|rate| rate.burst),
            requests_per_minute: limits.requests.map(|rate| rate.per_minute),
            burst_requests: limits.requests.map(|rate| rate.burst),
            tokens_per_day: limits.tokens_per_day,
            concurrent_requests: limits.concurrent_requests,
            day_starts_at_minute: limits.day_starts_at_minute,
        }
    }
}

impl<'a> BudgetJson<'a> {
    fn new(budget: &'a Budget, status: &BudgetStatus, is_operator: bool) -> Self {
        let BudgetStatus { limits, left, .. } = *status;
        let Amount { tokens, requests } = status.held;
        let BudgetId { tenant, name } = &budget.id;
        Self {
            name: name.as_str(),
            models: budget.models.as_deref(),
            limits: limits.into(),
            tokens: LeftJson::new(limits.tokens, left.tokens, tokens, status.tokens.spent),
            requests: LeftJson::new(limits.requests, left.requests, requests, status.requests.spent),
            day: DayJson {
                tokens_used: status.day_tokens_used,
                tokens_remaining: limits.tokens_per_day.map(|_| left.day_tokens),
                resets_in_s: status.day_resets_in.as_secs(),
            },
            running: status.slots,
            operators: is_operator.then(|| OperatorsJson {
                tenant: tenant.as_str(),
                overridden: status.is_overridden,
                holders: status.holders,
                token_totals: status.tokens,
                request_totals: status.requests,
            }),
        }
    }
}

impl LeftJson {
    fn new(rate: Option<Rate>, left: i64, held: u64, spent: u64) -> Self {
        Self {
            remaining: rate.map(|_| u64::try_from(left).unwrap_or(0)),
            held,
            debt: left.min(0).unsigned_abs(),
            spent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_FORCE: BudgetLimits = BudgetLimits {
        tokens: Some(Rate {
            per_minute: 1_000,
            burst: 1_000,
        }),
        requests: Some(Rate {
            per_minute: 60,
            burst: 5,
        }),
        tokens_per_day: Some(90_000),
        concurrent_requests: None,
        day_starts_at_minute: 60,
    };

    fn after(change: &str) -> Result<BudgetLimits, String> {
        changed(IN_FORCE, change.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_that_are_not_named_stay() {
        let tokens = |per_minute, burst| Some(Rate { per_minute, burst });
        for (change, expected) in [
            (
                r#"{"tokens_per_minute":50}"#,
                BudgetLimits {
                    tokens: tokens(50, 50),
                    ..IN_FORCE
                },
            ),
            (
                r#"{"burst_tokens":50}"#,
                BudgetLimits {
                    tokens: tokens(1_000, 50),
                    ..IN_FORCE
                },
            ),
            (
                r#"{"requests_per_minute":30}"#,
                BudgetLimits {
                    requests: tokens(30, 5),
                    ..IN_FORCE
                },
            ),
            (
                r#"{"tokens_per_day":null}"#,
                BudgetLimits {
                    tokens_per_day: None,
                    ..IN_FORCE
                },
            ),
            (
                r#"{"tokens_per_minute":null,"concurrent_requests":3}"#,
                BudgetLimits {
                    tokens: None,
                    concurrent_requests: Some(3),
                    ..IN_FORCE
                },
            ),
        ] {
            assert_eq!(after(change), Ok(expected), "{change}");
        }
    }

    #[test]
    fn a_change_that_makes_no_sense_is_refused() {
        let all = r#"{"tokens_per_minute":null,"requests_per_minute":null,"burst_requests":null,"tokens_per_day":null,
            "day_starts_at_minute":null}"#;
        for (change, why) in [
            ("{}", "change nothing"),
            (all, "nothing would be limited"),
            (r#"{"tokens":5}"#, "unknown field"),
            (r#"{"tokens":null}"#, "unknown field"),
            (r#"{"tokens_per_minute":"5"}"#, "invalid type"),
            ("[]", "invalid type"),
        ] {
            let error = after(change).expect_err(change);
            assert!(error.contains(why), "{change}: {error}");
        }
    }
}
