//! Errors as vLLM words and shapes them: `{"error":{"message","type","param","code"}}` with the status as code.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::driver::EngineError;
use super::reply::{Reply, json_reply};
use crate::engine::scheduler::Refused;

/// Why a request gets no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    #[error("Not Found")]
    NoSuchPath,
    #[error("Method Not Allowed")]
    MethodNotAllowed { allow: &'static str },
    #[error("Unauthorized")]
    Unauthorized,
    #[error("Request body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("Unsupported Media Type: Only 'application/json' is allowed")]
    NotJson,
    #[error("{message}")]
    Malformed { message: String },
    #[error("The model `{model}` does not exist.")]
    NoSuchModel { model: String },
    #[error("{message}")]
    Invalid {
        message: String,
        param: Option<&'static str>,
    },
    #[error(
        "This model's maximum context length is {context} tokens. However, your prompt contains {prompt} input tokens, \
         which exceeds this limit even without any output tokens. Please reduce the length of the input prompt."
    )]
    ContextLength { context: u32, prompt: u32 },
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What a fault was told to answer.
    #[error("{message}")]
    Simulated {
        status: StatusCode,
        message: String,
        retry_after: Option<String>,
    },
}

#[derive(Serialize)]
struct Body<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'static str>,
    code: u16,
}

impl ApiError {
    /// A parameter has no sense, or none here.
    pub const fn invalid(message: String, param: &'static str) -> Self {
        Self::Invalid {
            message,
            param: Some(param),
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath | Self::NoSuchModel { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson | Self::Malformed { .. } | Self::Invalid { .. } | Self::ContextLength { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::Engine(EngineError::Refused(Refused::EmptyPrompt | Refused::TooLong { .. })) => {
                StatusCode::BAD_REQUEST
            }
            Self::Engine(EngineError::Dead) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Simulated { status, .. } => *status,
        }
    }

    /// The error's JSON, also for an event inside a stream.
    pub fn json(&self) -> Vec<u8> {
        let message = self.to_string();
        let detail = Detail {
            message: &message,
            r#type: self.kind(),
            param: self.param(),
            code: self.status().as_u16(),
        };
        // Strings and numbers always serialise.
        serde_json::to_vec(&Body { error: detail }).unwrap_or_default()
    }

    pub fn reply(&self) -> Reply {
        // vLLM's authentication layer has a shape of its own, and so has the framework that finds its paths.
        let body = match self {
            Self::Unauthorized => br#"{"error":"Unauthorized"}"#.to_vec(),
            Self::NoSuchPath | Self::MethodNotAllowed { .. } => format!(r#"{{"detail":"{self}"}}"#).into_bytes(),
            Self::TooLarge { .. }
            | Self::NotJson
            | Self::Malformed { .. }
            | Self::NoSuchModel { .. }
            | Self::Invalid { .. }
            | Self::ContextLength { .. }
            | Self::Engine(_)
            | Self::Simulated { .. } => self.json(),
        };
        let mut reply = json_reply(self.status(), body);
        if let Self::MethodNotAllowed { allow } = self {
            reply
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Self::Simulated {
            retry_after: Some(seconds),
            ..
        } = self
            && let Ok(value) = seconds.parse()
        {
            reply.headers_mut().insert(header::RETRY_AFTER, value);
        }
        reply
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::NoSuchPath => "Not Found",
            Self::MethodNotAllowed { .. } => "Method Not Allowed",
            Self::Unauthorized => "Unauthorized",
            Self::TooLarge { .. } => "Request Entity Too Large",
            Self::NotJson | Self::Malformed { .. } => "Bad Request",
            Self::NoSuchModel { .. } => "NotFoundError",
            Self::Invalid { .. } | Self::ContextLength { .. } => "BadRequestError",
            Self::Engine(EngineError::Refused(_)) => "BadRequestError",
            Self::Engine(EngineError::Dead) => "InternalServerError",
            Self::Simulated { status, .. } => simulated_kind(*status),
        }
    }

    const fn param(&self) -> Option<&'static str> {
        match self {
            Self::NoSuchModel { .. } => Some("model"),
            Self::Invalid { param, .. } => *param,
            Self::ContextLength { .. } => Some("input_tokens"),
            Self::NoSuchPath
            | Self::MethodNotAllowed { .. }
            | Self::Unauthorized
            | Self::TooLarge { .. }
            | Self::NotJson
            | Self::Malformed { .. }
            | Self::Engine(_)
            | Self::Simulated { .. } => None,
        }
    }
}

fn simulated_kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "BadRequestError",
        429 => "RateLimitError",
        500 => "InternalServerError",
        503 => "ServiceUnavailableError",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}
