//! Why an engine answered with another status than 200.

use std::time::{Duration, UNIX_EPOCH};

use http::header::RETRY_AFTER;
use http::response::Parts;
use http::{HeaderMap, StatusCode};

use super::upstream::{whole, words};
use crate::api::EngineError;
use crate::ladder::AttemptError;
use crate::pipeline::context::Exchange;
use crate::platform::Platform;
use crate::time::Timestamp;

/// What an engine means that answered so.
pub(super) async fn refusal<P: Platform>(exchange: &Exchange<P>, head: &Parts, body: P::Body) -> AttemptError {
    let status = head.status.as_u16();
    if let 400 | 413 | 415 | 422 = status {
        // Some quote all that they were sent (FastAPI). Where that is too much, or breaks off, the status tells enough.
        let body = whole::<P>(body, exchange.config.sizes.response_body_bytes).await;
        let body = body.unwrap_or_default();
        return AttemptError::Rejected { status, body };
    }
    let words = words(exchange, body, REFUSAL_BYTES).await;
    let words = words.map(|body| EngineError::read(&body).words().to_owned());
    if is_not_served(status, words.as_deref()) {
        let words = words.filter(|words| !words.is_empty());
        let words = words.unwrap_or_else(|| head.status.canonical_reason().unwrap_or_default().to_owned());
        return AttemptError::NotServed { status, words };
    }
    AttemptError::Status {
        status,
        retry_after: retry_after(&head.headers, exchange.platform.wall()),
        words: words.unwrap_or_default(),
    }
}

/// Whether it means that the model does not do what the endpoint is for. An engine that has the path, but knows the model
/// by another name, says so in a sentence: that is the operator's mistake.
fn is_not_served(status: u16, words: Option<&str>) -> bool {
    let says_no_path = |words: &str| NO_SUCH_PATH.iter().any(|said| words.eq_ignore_ascii_case(said));
    match StatusCode::from_u16(status) {
        Ok(StatusCode::NOT_IMPLEMENTED) => true,
        Ok(StatusCode::NOT_FOUND) => words.is_some_and(says_no_path),
        Ok(_) | Err(_) => false,
    }
}

/// In how long the engine wants to be asked again: it says so in seconds, or names the moment.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((Timestamp::default() + moment).since(now))
}

/// What engines say of a path that they do not have: FastAPI (vLLM, SGLang, TensorRT-LLM), llama.cpp, and TGI nothing.
const NO_SUCH_PATH: [&str; 3] = ["Not Found", "File Not Found", ""];
/// What an engine may say about a failure of its own, in bytes.
const REFUSAL_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_path_that_engines_do_not_have_is_told_from_a_model_that_they_do_not_know() {
        for (status, words, is_not) in [
            (501, Some("This server does not support embeddings."), true),
            (501, None, true),
            (404, Some("Not Found"), true),
            (404, Some("File Not Found"), true),
            (404, Some(""), true),
            (404, Some("The model `x` does not exist."), false),
            (404, None, false),
            (500, Some("Not Found"), false),
        ] {
            assert_eq!(is_not_served(status, words), is_not, "{status} {words:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_millis(784_111_770_500);
        let wait = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers, now).map(|wait| wait.as_millis())
        };
        assert_eq!(wait(" 7 "), Some(7_000));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(6_500));
        assert_eq!(wait("Sunday, 06-Nov-94 08:49:37 GMT"), Some(6_500));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0), "past");
        for unreadable in ["soon", "-1", "Sun, 06 Nov 1994", ""] {
            assert_eq!(wait(unreadable), None, "{unreadable}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
