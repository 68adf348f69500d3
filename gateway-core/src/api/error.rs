//! Errors as clients see them: a status, and a body in the API's shape.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::answer::has_error_object;
use super::sse::data_event;

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The status, where nothing has been sent yet.
    pub status: StatusCode,
    /// Whether asking again will not help.
    pub is_final: bool,
    /// In how long asking again may help.
    pub retry_after: Option<Duration>,
    /// The methods that the path has, where the method was wrong.
    pub allow: Option<&'static str>,
    /// Its `type`.
    pub kind: ErrorKind,
    /// The word by which programs know it.
    pub code: Option<&'static str>,
    /// The parameter that is wrong.
    pub param: Option<&'static str>,
    /// What people read.
    pub message: String,
    /// An engine's own words about a wrong request, when they have the API's shape already.
    pub verbatim: Option<Bytes>,
}

/// What sort of an error it is: its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is wrong.
    InvalidRequest,
    /// The caller may not have this.
    Permission,
    /// The gateway, or what it stands on, cannot serve it.
    Server,
    /// Too many requests.
    Requests,
    /// Too many tokens.
    Tokens,
    /// More than waiting can help with.
    Quota,
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

impl ApiError {
    /// The body: `{"error":{…}}`.
    pub fn body(&self) -> Bytes {
        if let Some(verbatim) = &self.verbatim {
            return verbatim.clone();
        }
        let detail = Detail {
            message: &self.message,
            kind: self.kind.as_str(),
            param: self.param,
            code: self.code,
        };
        serde_json::to_vec(&Envelope { error: detail })
            .unwrap_or_default()
            .into()
    }

    /// An error of that kind, with nothing else said.
    pub fn new(status: StatusCode, kind: ErrorKind, message: String) -> Self {
        Self {
            status,
            is_final: false,
            retry_after: None,
            allow: None,
            kind,
            code: None,
            param: None,
            message,
            verbatim: None,
        }
    }

    /// An engine's own words about the request, which it rejected with that status. Engines differ in their shape: words
    /// that lack the API's are wrapped.
    pub fn rejected(status: u16, body: Bytes) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let in_shape = has_error_object(&body);
        let message = if in_shape { String::new() } else { engine_message(&body) };
        Self {
            verbatim: in_shape.then_some(body),
            ..Self::new(status, ErrorKind::InvalidRequest, message).code("rejected_by_engine")
        }
    }

    /// With the word by which programs know it.
    pub fn code(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// With the parameter that is wrong.
    pub fn param(self, param: &'static str) -> Self {
        Self {
            param: Some(param),
            ..self
        }
    }
}

impl ErrorKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Permission => "permission_error",
            Self::Server => "server_error",
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Quota => "insufficient_quota",
        }
    }
}

/// What an engine says in another shape, cut to a length that an error may have.
fn engine_message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Flat {
        #[serde(alias = "detail", alias = "error")]
        message: String,
    }
    let text = match serde_json::from_slice::<Flat>(body) {
        Ok(Flat { message }) => message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    format!(
        "the engine rejected the request: {}",
        text.chars().take(1_000).collect::<String>()
    )
}

/// The event that ends a stream with an error. No `[DONE]` follows it, so that SDKs raise.
pub fn error_event(error: &ApiError) -> Bytes {
    let body = error.body();
    let mut event = Vec::with_capacity(body.len() + 8);
    // An engine's own words may hold line ends between tokens, which an event's data must not.
    let text: String = String::from_utf8_lossy(&body)
        .chars()
        .map(|c| if c.is_ascii_control() { ' ' } else { c })
        .collect();
    data_event(&text, &mut event);
    event.into()
}
