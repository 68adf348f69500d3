//! What only a simulated engine has: `/sim/faults` (see [`crate::server::faults`]) and `/sim/requests`.
//!
//! `GET /sim/requests?match=TEXT&limit=N` shows the last requests whose raw body contains TEXT, as they arrived, each
//! with its outcome (`running`, `finished`, `failed` by an error or a fault, `aborted` by the client), and counters of
//! all requests. `DELETE /sim/requests` forgets the requests, not the counters.

use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::json;

use super::info::ok;
use crate::server::error::ApiError;
use crate::server::faults::RuleError;
use crate::server::reply::{Reply, ReplyBody, reply};
use crate::server::shared::Shared;

/// `POST`, `GET` and `DELETE /sim/faults`.
pub(in crate::server) fn faults(shared: &Shared, method: &Method, body: &[u8]) -> Result<Reply, ApiError> {
    let shown = if method == Method::POST {
        shared.faults.add(body)
    } else if method == Method::DELETE {
        Ok(json!({ "removed": shared.faults.remove(None) }))
    } else {
        shared.faults.list()
    };
    Ok(ok(&shown.map_err(|error| written_wrongly(&error))?))
}

/// `DELETE /sim/faults/ID`.
pub(in crate::server) fn remove_fault(shared: &Shared, id: u64) -> Result<Reply, ApiError> {
    match shared.faults.remove(Some(id)) {
        0 => Err(ApiError::NoSuchPath),
        removed => Ok(ok(&json!({ "removed": removed }))),
    }
}

/// `GET` and `DELETE /sim/requests`.
pub(in crate::server) fn requests(shared: &Shared, parts: &Parts) -> Reply {
    if parts.method == Method::DELETE {
        shared.records.clear();
        return reply(StatusCode::NO_CONTENT, "application/json", ReplyBody::whole(""));
    }
    let query = parts.uri.query().unwrap_or_default();
    let needle = parameter(query, "match").unwrap_or_default();
    let limit = parameter(query, "limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(usize::MAX);
    ok(&shared.records.report(&needle, limit))
}

fn written_wrongly(error: &RuleError) -> ApiError {
    ApiError::Malformed {
        message: error.to_string(),
    }
}

/// A query parameter, decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| percent_decoded(value))
        .next()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = escaped
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|_| *byte == b'%');
        bytes.push(match (byte, decoded) {
            (_, Some(decoded)) => decoded,
            (b'+', None) => b' ',
            (byte, None) => *byte,
        });
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(parameter("a=1&match=x%20%22y+z%", "match").as_deref(), Some("x \"y z%"));
        assert_eq!(parameter("a=1", "match"), None);
    }
}
