//! Errors in OpenAI's shape: `{"error":{…}}`, as a body or as the last event of a stream.

use bytes::Bytes;
use serde::Serialize;

use crate::api::error::{ApiError, ErrorKind};
use crate::api::json_fields::Fields;
use crate::api::sse::data_event;

/// The body: an engine's own words about a request that it rejected, where they have the shape already, or else what the
/// gateway says.
pub fn error_body(error: &ApiError) -> Bytes {
    if let Some(verbatim) = error.verbatim.as_ref().filter(|body| has_error_object(body)) {
        return verbatim.clone();
    }
    let detail = Detail {
        message: &error.message,
        kind: kind(error.kind),
        param: error.param,
        code: error.code,
    };
    serde_json::to_vec(&Envelope { error: detail })
        .unwrap_or_default()
        .into()
}

/// The event that ends a stream with an error. No `[DONE]` follows it, so that SDKs raise.
pub fn error_event(error: &ApiError) -> Bytes {
    let body = error_body(error);
    let mut event = Vec::with_capacity(body.len() + 8);
    // An engine's own words may hold line ends between tokens, which an event's data must not.
    let text: String = String::from_utf8_lossy(&body)
        .chars()
        .map(|c| if c.is_ascii_control() { ' ' } else { c })
        .collect();
    data_event(&text, &mut event);
    event.into()
}

/// Whether `body` is an error in this shape: clients read its message and type, and do without the rest.
fn has_error_object(body: &[u8]) -> bool {
    let is_shaped = |text| {
        let body = Fields::parse(text).ok()?;
        let error = Fields::parse(body.get("error")?).ok()?;
        let is_text = |name| error.get(name).is_some_and(|json| json.starts_with('"'));
        Some(is_text("message") && is_text("type"))
    };
    std::str::from_utf8(body).ok().and_then(is_shaped).unwrap_or(false)
}

fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid_request_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::Server => "server_error",
        ErrorKind::Requests => "requests",
        ErrorKind::Tokens => "tokens",
        ErrorKind::Quota => "insufficient_quota",
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_an_error_is_one_line() {
        let body = Bytes::from_static(b"{\"error\":\n{\"message\":\"a\\nb\",\"type\":\"x\"}}");
        let event = error_event(&ApiError::rejected(400, body));
        assert_eq!(event, "data: {\"error\": {\"message\":\"a\\nb\",\"type\":\"x\"}}\n\n");
    }
}
