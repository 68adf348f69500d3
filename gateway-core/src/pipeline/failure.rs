//! Everything that a request can end with other than an answer: one place where what went wrong becomes the error that
//! the client sees.

use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

use crate::api::{ApiError, ErrorKind, RequestError};
use crate::budget::{BudgetError, Shortage};
use crate::cluster::Dropped;
use crate::ladder::AttemptError;
use crate::pipeline::body_memory::BodiesFull;
use crate::pipeline::hops::OrderRefused;
use crate::platform::{SendError, StoreError};

/// Everything that a request can end with, other than an answer.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Failure {
    /// The request is wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Nothing on the ladder answered; this is the last error.
    #[error("no engine answered: {error}")]
    Exhausted {
        /// The last attempt's error.
        error: AttemptError,
        /// In how long asking again may help.
        recovery: Option<Duration>,
    },
    /// An answer that had begun broke off.
    #[error("the answer broke off: {0}")]
    BrokenOff(AttemptError),
    /// A budget does not admit the request.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// A region hop does not take the order.
    #[error(transparent)]
    Order(#[from] OrderRefused),
    /// Bodies take all the memory that they may.
    #[error(transparent)]
    Bodies(#[from] BodiesFull),
    /// The store may hold a configuration that was never read, so that nobody's key is known.
    #[error("the gateway cannot read its configuration at the moment")]
    ConfigUnread {
        /// When it will be tried again.
        wait: Duration,
    },
    /// The cell of a cluster that an operator asks about does not answer.
    #[error("the cell of the cluster `{cluster}` does not answer at the moment")]
    Cell {
        /// Which cluster.
        cluster: String,
    },
    /// The cell of a rollout that an operator asks about does not answer.
    #[error("the cell of the rollout of `{model}` does not answer at the moment")]
    RolloutCell {
        /// Of which model.
        model: String,
    },
    /// The configuration that an operator sent is wrong.
    #[error("{0}")]
    Config(String),
    /// The canned texts that an operator sent are wrong.
    #[error("{0}")]
    Canned(String),
    /// Operators keep the model out of service, and nothing else on the ladder answered.
    #[error("the model is out of service for maintenance")]
    Maintenance,
    /// The store did not take what an operator sent.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AttemptError> for Failure {
    fn from(error: AttemptError) -> Self {
        let recovery = error.recovery();
        Self::Exhausted { error, recovery }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Request(error) => of_request(&error, message),
            Failure::Exhausted { error, recovery } => Self {
                retry_after: recovery,
                dropped: error.dropped().map(Dropped::as_str),
                ..of_attempt(error, message)
            },
            Failure::Budget(error) => of_budget(&error, message),
            Failure::Order(refused) => of_order(&refused, message),
            Failure::Bodies(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Server, message).code("too_many_bodies")
            }
            Failure::BrokenOff(error) => of_attempt(error, message),
            Failure::Config(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorKind::InvalidRequest, message)
                .code("invalid_configuration"),
            Failure::Canned(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorKind::InvalidRequest, message)
                .code("invalid_canned_texts"),
            Failure::Maintenance => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Server, message).code("maintenance")
            }
            Failure::Cell { .. } | Failure::RolloutCell { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Server, message).code("cell_unreachable")
            }
            Failure::ConfigUnread { wait } => Self {
                retry_after: Some(wait),
                ..unavailable_store(message)
            },
            Failure::Store(_) => unavailable_store(message),
        }
    }
}

fn unavailable_store(message: String) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Server, message).code("store_unavailable")
}

fn of_request(error: &RequestError, message: String) -> ApiError {
    let new = |status, kind| ApiError::new(status, kind, message.clone());
    let invalid = |status| new(status, ErrorKind::InvalidRequest);
    let wrong = |code| invalid(StatusCode::BAD_REQUEST).code(code);
    let unprocessable = |code| invalid(StatusCode::UNPROCESSABLE_ENTITY).code(code);
    let absent = |code| invalid(StatusCode::NOT_FOUND).code(code);
    match error {
        RequestError::MissingKey | RequestError::UnknownKey => {
            invalid(StatusCode::UNAUTHORIZED).code("invalid_api_key")
        }
        RequestError::ReadOnlyKey => new(StatusCode::FORBIDDEN, ErrorKind::Permission).code("read_only_key"),
        RequestError::NoAdminKey => invalid(StatusCode::UNAUTHORIZED).code("admin_key_missing"),
        RequestError::UnknownAdminKey => new(StatusCode::FORBIDDEN, ErrorKind::Permission).code("admin_key_unknown"),
        RequestError::WrongExplain => wrong("invalid_header"),
        RequestError::WrongCacheWish => wrong("invalid_header"),
        RequestError::WrongPurge { .. } => unprocessable("invalid_purge"),
        RequestError::WrongQuestion { .. } => unprocessable("invalid_explain"),
        RequestError::UnknownTenant { .. } => absent("tenant_not_found"),
        RequestError::UnknownRequest { .. } => absent("request_not_found"),
        RequestError::ReservedHeader { .. } => wrong("reserved_header"),
        RequestError::OtherRole => absent("other_role"),
        RequestError::NoSuchPath | RequestError::NoResponses => absent("not_found"),
        RequestError::ForeignOrigin { .. } => {
            new(StatusCode::FORBIDDEN, ErrorKind::Permission).code("origin_not_allowed")
        }
        RequestError::WrongMethod { allowed } => ApiError {
            allow: Some(allowed),
            ..invalid(StatusCode::METHOD_NOT_ALLOWED).code("method_not_allowed")
        },
        RequestError::WrongContentType => invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE).code("unsupported_media_type"),
        RequestError::UnknownCoding { .. } => invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE).code("unsupported_encoding"),
        RequestError::NotCoded { .. } => wrong("invalid_encoding"),
        RequestError::TooLarge { .. } | RequestError::TooLargeDecoded { .. } => {
            invalid(StatusCode::PAYLOAD_TOO_LARGE).code("request_too_large")
        }
        RequestError::Incomplete { .. } => wrong("incomplete_body"),
        RequestError::TooSlow { .. } => invalid(StatusCode::REQUEST_TIMEOUT).code("body_timeout"),
        RequestError::NotJson { .. } => wrong("invalid_json"),
        RequestError::TooDeep { .. } => wrong("nesting_too_deep"),
        RequestError::Missing { param, .. } => wrong("missing_parameter").param(param),
        RequestError::WrongType { param, .. } => wrong("invalid_type").param(param),
        RequestError::Duplicate { param } => wrong("duplicate_parameter").param(param),
        RequestError::SteersEngine { param } => wrong("parameter_not_allowed").param(param),
        RequestError::MediaUrl { param, .. } => wrong("media_url_not_allowed").param(param),
        RequestError::UnknownModel { .. } => absent("model_not_found").param("model"),
        RequestError::UnknownTier { .. } => wrong("unknown_tier"),
        RequestError::ContextLength { param, .. } => wrong("context_length_exceeded").param(param),
        RequestError::Template { .. } => wrong("chat_template").param("messages"),
        RequestError::UnknownBudget { .. } => absent("budget_not_found"),
        RequestError::UnknownCluster { .. } => absent("cluster_not_found"),
        RequestError::UnknownReplica { .. } => absent("replica_not_found"),
        RequestError::AskRegion { .. } => invalid(StatusCode::CONFLICT).code("ask_region"),
        RequestError::WrongDrain { .. } => unprocessable("invalid_drain"),
        RequestError::UnknownRollout { .. } => absent("rollout_not_found"),
        RequestError::AskEdge => invalid(StatusCode::CONFLICT).code("ask_edge"),
        RequestError::WrongRollout { .. } => unprocessable("invalid_rollout"),
        RequestError::WrongLimits { .. } => unprocessable("invalid_limits"),
        RequestError::Jurisdiction { .. } => new(StatusCode::FORBIDDEN, ErrorKind::Permission)
            .code("jurisdiction")
            .param("model"),
    }
}

fn of_order(refused: &OrderRefused, message: String) -> ApiError {
    let invalid = |status| ApiError::new(status, ErrorKind::InvalidRequest, message.clone());
    match refused {
        OrderRefused::Signature(_) => invalid(StatusCode::UNAUTHORIZED).code("invalid_signature"),
        OrderRefused::Facts => invalid(StatusCode::BAD_REQUEST).code("invalid_order"),
        OrderRefused::Unknown { .. } => invalid(StatusCode::CONFLICT).code("unknown_here"),
        OrderRefused::NoKey { .. } | OrderRefused::Cell => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Server, message).code("order_unchecked")
        }
    }
}

fn of_budget(error: &BudgetError, message: String) -> ApiError {
    match error {
        BudgetError::Unreachable { wait } => ApiError {
            retry_after: Some(*wait),
            ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Server, message).code("budget_unreachable")
        },
        BudgetError::Denied { denied, .. } => {
            let (kind, code) = match denied.short {
                Shortage::Requests | Shortage::Concurrency => (ErrorKind::Requests, "rate_limit_exceeded"),
                Shortage::Tokens | Shortage::Priority => (ErrorKind::Tokens, "rate_limit_exceeded"),
                Shortage::Day | Shortage::TooLarge => (ErrorKind::Quota, "insufficient_quota"),
            };
            let is_final = !denied.short.passes();
            let unknown = (!is_final).then_some(Duration::from_secs(1));
            ApiError {
                is_final,
                retry_after: denied.wait.or(unknown),
                ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, kind, message).code(code)
            }
        }
    }
}

fn of_attempt(error: AttemptError, message: String) -> ApiError {
    let new = |status, code| ApiError::new(status, ErrorKind::Server, message.clone()).code(code);
    match error {
        AttemptError::NoRoom { .. } | AttemptError::Unfit => new(StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        AttemptError::Status { status: 429 | 503, .. } => new(StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        AttemptError::Stopping => new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        AttemptError::Cell(_) => new(StatusCode::SERVICE_UNAVAILABLE, "cell_unreachable"),
        AttemptError::FirstByteTimeout | AttemptError::BetweenBytesTimeout | AttemptError::Deadline => {
            new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout")
        }
        AttemptError::Hop(_) => new(StatusCode::BAD_GATEWAY, "region_unreachable"),
        AttemptError::Send(SendError::Local(_)) => new(StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        AttemptError::Send(
            SendError::Connect(_) | SendError::Broken(_) | SendError::Lost(_) | SendError::NoSecret(_),
        ) => new(StatusCode::BAD_GATEWAY, "upstream_unreachable"),
        AttemptError::Status { .. } | AttemptError::InBand(_) => new(StatusCode::BAD_GATEWAY, "upstream_error"),
        AttemptError::Garbage(_) => new(StatusCode::BAD_GATEWAY, "upstream_garbage"),
        AttemptError::Semantic { .. } => new(StatusCode::BAD_GATEWAY, "model_output_invalid"),
        AttemptError::TooLarge { .. } => hopeless(StatusCode::BAD_REQUEST, "answer_too_large", error.to_string()),
        AttemptError::Rejected { status, body } => ApiError::rejected(status, body),
        AttemptError::NotServed { status, ref words } => {
            let status = match status {
                404 => StatusCode::NOT_FOUND,
                _ => StatusCode::BAD_REQUEST,
            };
            hopeless(status, "not_served", format!("{error}: {words}"))
        }
        AttemptError::Blamed { ref words, .. } if words.is_empty() => {
            hopeless(StatusCode::BAD_REQUEST, "rejected_by_engine", error.to_string())
        }
        AttemptError::Blamed { ref words, .. } => {
            let message = format!("{error}: {words}");
            hopeless(StatusCode::BAD_REQUEST, "rejected_by_engine", message)
        }
    }
}

/// The client's own mistake, though the engine did not say so: the request will not do any better.
fn hopeless(status: StatusCode, code: &'static str, message: String) -> ApiError {
    ApiError {
        is_final: true,
        ..ApiError::new(status, ErrorKind::InvalidRequest, message).code(code)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::api::Dialect;

    fn exhausted(error: AttemptError) -> ApiError {
        Failure::Exhausted {
            error,
            recovery: Some(Duration::from_secs(3)),
        }
        .into()
    }

    #[test]
    fn errors_have_all_four_fields() {
        let error = ApiError::from(Failure::from(RequestError::Missing {
            param: "model",
            expected: "a string",
        }));
        assert_eq!(error.status, 400);
        assert_eq!(
            Dialect::OpenAi.error_body(&error),
            r#"{"error":{"message":"`model` is missing: it must be a string","type":"invalid_request_error","param":"model","code":"missing_parameter"}}"#
        );
        let body = String::from_utf8(
            Dialect::OpenAi
                .error_body(&Failure::from(RequestError::MissingKey).into())
                .to_vec(),
        )
        .unwrap();
        assert!(body.contains(r#""param":null,"code":"invalid_api_key""#), "{body}");
    }

    #[test]
    fn an_engines_own_words_pass_when_they_have_the_shape_and_are_wrapped_when_not() {
        let shaped = Bytes::from_static(br#"{"error":{"message":"too long","type":"x","param":null,"code":400}}"#);
        let error = exhausted(AttemptError::Rejected {
            status: 400,
            body: shaped.clone(),
        });
        assert_eq!(Dialect::OpenAi.error_body(&error), shaped);
        for body in [
            r#"{"detail":"too long"}"#,
            "too long",
            r#"{"object":"error","message":"too long"}"#,
        ] {
            let error = exhausted(AttemptError::Rejected {
                status: 422,
                body: body.into(),
            });
            assert_eq!(error.status, 422);
            assert!(
                String::from_utf8_lossy(&Dialect::OpenAi.error_body(&error)).contains("too long\""),
                "{body}"
            );
        }
    }
}
