//! Errors as clients see them: a status, and what the body tells, whichever family of API it is in.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::engine_error::EngineError;

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The status, where nothing has been sent yet.
    pub status: StatusCode,
    /// Whether asking again will not help.
    pub is_final: bool,
    /// In how long asking again may help.
    pub retry_after: Option<Duration>,
    /// Why the request did not wait for room, or no longer.
    pub dropped: Option<&'static str>,
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
    /// An engine's own words about a wrong request, for clients of the API in whose shape they are.
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

impl ApiError {
    /// An error of that kind, with nothing else said.
    pub fn new(status: StatusCode, kind: ErrorKind, message: String) -> Self {
        Self {
            status,
            is_final: false,
            retry_after: None,
            dropped: None,
            allow: None,
            kind,
            code: None,
            param: None,
            message,
            verbatim: None,
        }
    }

    /// An engine's own words about the request, which it rejected with that status. That the prompt is too long for it is
    /// told as the gateway tells it, by the code that clients look for.
    pub fn rejected(status: u16, body: Bytes) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let error = EngineError::read(&body);
        let message = match error.words() {
            "" => "the engine rejected the request".to_owned(),
            words => ["the engine rejected the request: ", words].concat(),
        };
        let rejected = Self::new(status, ErrorKind::InvalidRequest, message);
        if error.is_overflow() {
            return rejected.code("context_length_exceeded");
        }
        Self {
            verbatim: Some(body),
            ..rejected.code("rejected_by_engine")
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
