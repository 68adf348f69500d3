//! Where a request would go now, and why: it takes the way of every request, up to where a budget would reserve something, and
//! then the walk is foretold. Nothing is reserved, held or sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::budgets;
use crate::api::{Endpoint, RequestError, Route};
use crate::auth::Caller;
use crate::budget::BudgetStatus;
use crate::config::{Budget, Config, Priority};
use crate::explain::{BudgetSaid, Outcome};
use crate::geo::Location;
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::dispatch::foretell;
use crate::pipeline::entrance::Entrance;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{check_headers, count, decode, identify, needs_of_all, note_asked, order_to_try, plan};
use crate::pipeline::recorder::Purpose;
use crate::pipeline::{records, response};
use crate::platform::Platform;

/// `POST /admin/v1/explain`: the decision record of a request that is only tried.
///
/// # Errors
/// When it is not written as it must be; and when it would be refused before it has a way to go, as its client would be told.
pub(in crate::pipeline) async fn explain<P: Platform>(
    exchange: &Exchange<P>,
    asked: &[u8],
) -> Result<Response<Body>, Failure> {
    let tried = Tried::parse(&exchange.config, asked)?;
    let exchange = exchange.beside(tried.location);
    let wishes = check_headers(&exchange.config, Entrance::Operators, &tried.headers)?;
    records::begin(&exchange, tried.endpoint.label(), &tried.caller, Purpose::DryRun);
    let decoded = decode(&exchange, tried.endpoint, tried.caller, tried.body)?;
    note_asked(&exchange, &decoded);
    let identified = identify(&exchange, decoded, wishes).await;
    let counted = count(&exchange, identified).await?;
    let budgets = join_all(
        needs_of_all(&exchange, &counted)
            .into_iter()
            .map(|(budget, needs)| said(&exchange, budget, needs)),
    );
    let budgets = budgets.await;
    let planned = plan(&exchange, counted, wishes)?;
    let order = order_to_try(&exchange, planned);
    let foretold = foretell(&order).await;
    let refusing = budgets.iter().find(|said| said.admits == Some(false));
    let outcome = refusing.map_or(foretold, |said| Outcome::Refused {
        error: "rate_limit_exceeded",
        why: format!("budget {} has no room for it", said.budget),
    });
    let text = exchange.recorder.with(|record| {
        record.budgets = budgets;
        record.outcome = Some(outcome);
        record.to_json(MOST_BYTES)
    });
    Ok(response::json(text.flatten().unwrap_or_default().into()))
}

/// A request that is tried.
struct Tried {
    caller: Caller,
    endpoint: Endpoint,
    location: Option<Location>,
    headers: HeaderMap,
    body: Bytes,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TriedJson<'a> {
    tenant: String,
    path: Option<String>,
    priority: Option<String>,
    location: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow)]
    body: &'a RawValue,
}

impl Tried {
    fn parse(config: &Config, asked: &[u8]) -> Result<Self, RequestError> {
        let written: TriedJson<'_> = serde_json::from_slice(asked).map_err(|error| wrong(&error.to_string()))?;
        let mut tenants = config.tenants.iter();
        let tenant = tenants.find(|tenant| tenant.name.as_str() == written.tenant);
        let unknown = || RequestError::UnknownTenant {
            asked: written.tenant.clone(),
        };
        let caller = Caller {
            tenant: Arc::clone(tenant.ok_or_else(unknown)?),
            priority: priority(written.priority.as_deref())?,
        };
        let path = written.path.as_deref().unwrap_or(Endpoint::Chat.path());
        let Route::Generate(endpoint) = Route::of(&Method::POST, path) else {
            return Err(wrong(
                "`path` must be one that engines answer, such as /v1/chat/completions",
            ));
        };
        Ok(Self {
            caller,
            endpoint,
            location: written
                .location
                .as_deref()
                .map(|place| location(config, place))
                .transpose()?,
            headers: headers(&written.headers)?,
            body: Bytes::copy_from_slice(written.body.get().as_bytes()),
        })
    }
}

fn wrong(detail: &str) -> RequestError {
    RequestError::WrongQuestion {
        detail: detail.to_owned(),
    }
}

/// A region's name, as an edge location's code is one, or coordinates.
fn location(config: &Config, place: &str) -> Result<Location, RequestError> {
    let location = Location::parse(place);
    let mut regions = config.regions.keys();
    let is_region = regions.any(|name| name.as_str().eq_ignore_ascii_case(&location.code));
    (location.coordinates.is_some() || is_region)
        .then_some(location)
        .ok_or_else(|| wrong("`location` must be the name of a region, or LATITUDE,LONGITUDE in degrees"))
}

fn priority(asked: Option<&str>) -> Result<Priority, RequestError> {
    let Some(asked) = asked else {
        return Ok(Priority::default());
    };
    let mut all = Priority::ALL.into_iter();
    let found = all.find(|priority| priority.as_str() == asked);
    found.ok_or_else(|| wrong("`priority` must be low, normal or high"))
}

fn headers(written: &BTreeMap<String, String>) -> Result<HeaderMap, RequestError> {
    let header = |(name, value): (&String, &String)| {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        parsed.ok_or_else(|| wrong(&format!("`{name}` cannot be sent as a header")))
    };
    written.iter().map(header).collect()
}

/// What a budget says of a request that needs so many tokens of it.
async fn said<P: Platform>(exchange: &Exchange<P>, budget: Arc<Budget>, needs_tokens: u64) -> BudgetSaid {
    let status = budgets::status(exchange, &budget).await.ok();
    let of_tokens = status.as_ref().filter(|status| status.limits.tokens.is_some());
    BudgetSaid {
        budget: budget.id.to_string(),
        needs_tokens,
        admits: status.as_ref().map(|status| admits(status, needs_tokens)),
        left_tokens: of_tokens.map(|status| status.left.tokens),
        held_tokens: of_tokens.map(|status| status.held.tokens),
    }
}

/// Whether a budget has so much: what nobody holds of it, and what edge locations do, of which this one may have a part.
fn admits(status: &BudgetStatus, needs: u64) -> bool {
    let has = |left: i64, held: u64, needs: u64| i128::from(left) + i128::from(held) >= i128::from(needs);
    let BudgetStatus { limits, left, held, .. } = status;
    let has_tokens = limits.tokens.is_none() || has(left.tokens, held.tokens, needs);
    let has_requests = limits.requests.is_none() || has(left.requests, held.requests, 1);
    let has_day = limits.tokens_per_day.is_none() || left.day_tokens.saturating_add(held.tokens) >= needs;
    has_tokens && has_requests && has_day
}

/// All of the longest record.
const MOST_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(asked: &str) -> Result<Tried, RequestError> {
        let text = include_str!("../../../../gateway.toml");
        let config = Config::parse(text, None).expect("the example");
        Tried::parse(&config, asked.as_bytes())
    }

    #[test]
    fn a_request_to_try_has_defaults_and_says_what_is_wrong_with_it() {
        let tried = parsed(r#"{"tenant":"acme","body":{"model":"x", "n" : 1}}"#).expect("a request");
        assert_eq!(
            (tried.endpoint, tried.caller.priority),
            (Endpoint::Chat, Priority::Normal)
        );
        assert_eq!(tried.body, r#"{"model":"x", "n" : 1}"#, "as it is written");
        for (asked, why) in [
            ("{", "EOF"),
            (r#"{"tenant":"acme"}"#, "missing field `body`"),
            (r#"{"tenant":"nobody","body":{}}"#, "no tenant `nobody`"),
            (r#"{"tenant":"acme","path":"/v1/models","body":{}}"#, "engines answer"),
            (
                r#"{"tenant":"acme","priority":"urgent","body":{}}"#,
                "low, normal or high",
            ),
            (r#"{"tenant":"acme","headers":{"a b":"c"},"body":{}}"#, "`a b`"),
            (r#"{"tenant":"acme","boby":1,"body":{}}"#, "unknown field"),
        ] {
            let error = parsed(asked).err().expect(asked).to_string();
            assert!(error.contains(why), "{asked}: {error}");
        }
    }
}
