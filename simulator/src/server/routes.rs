//! Which path and method mean what.

use http::request::Parts;

use super::error::ApiError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// What a gateway calls for its clients: recorded, guarded by the key.
    Client(ClientEndpoint),
    /// What watches or steers the engine.
    Operator(OperatorEndpoint),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientEndpoint {
    Chat,
    Completion,
    Embeddings,
    Models,
    Tokenize,
    Detokenize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OperatorEndpoint {
    Health,
    Version,
    Load,
    Metrics,
    Faults,
    Fault { id: u64 },
    Requests,
}

/// The endpoint of a request.
pub(super) fn find(parts: &Parts) -> Result<Endpoint, ApiError> {
    let endpoint = endpoint(parts.uri.path()).ok_or(ApiError::NoSuchPath)?;
    let allow = match endpoint {
        Endpoint::Client(client) => client.methods(),
        Endpoint::Operator(operator) => operator.methods(),
    };
    if allow.split(", ").any(|method| method == parts.method.as_str()) {
        Ok(endpoint)
    } else {
        Err(ApiError::MethodNotAllowed { allow })
    }
}

fn endpoint(path: &str) -> Option<Endpoint> {
    Some(match path {
        "/v1/chat/completions" => Endpoint::Client(ClientEndpoint::Chat),
        "/v1/completions" => Endpoint::Client(ClientEndpoint::Completion),
        "/v1/embeddings" => Endpoint::Client(ClientEndpoint::Embeddings),
        "/v1/models" => Endpoint::Client(ClientEndpoint::Models),
        "/tokenize" => Endpoint::Client(ClientEndpoint::Tokenize),
        "/detokenize" => Endpoint::Client(ClientEndpoint::Detokenize),
        "/health" | "/ping" => Endpoint::Operator(OperatorEndpoint::Health),
        "/version" => Endpoint::Operator(OperatorEndpoint::Version),
        "/load" => Endpoint::Operator(OperatorEndpoint::Load),
        "/metrics" => Endpoint::Operator(OperatorEndpoint::Metrics),
        "/sim/faults" => Endpoint::Operator(OperatorEndpoint::Faults),
        "/sim/requests" => Endpoint::Operator(OperatorEndpoint::Requests),
        _ => Endpoint::Operator(OperatorEndpoint::Fault {
            id: path.strip_prefix("/sim/faults/")?.parse().ok()?,
        }),
    })
}

impl ClientEndpoint {
    const fn methods(self) -> &'static str {
        match self {
            Self::Chat | Self::Completion | Self::Embeddings | Self::Tokenize | Self::Detokenize => "POST",
            Self::Models => "GET",
        }
    }
}

impl OperatorEndpoint {
    const fn methods(self) -> &'static str {
        match self {
            Self::Health | Self::Version | Self::Load | Self::Metrics => "GET",
            Self::Faults => "GET, POST, DELETE",
            Self::Fault { .. } => "DELETE",
            Self::Requests => "GET, DELETE",
        }
    }
}
