//! Paths and methods, and the families of API that they are in.

use http::Method;

use super::admin::{self, AdminRoute};

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Something that an engine answers.
    Generate(Endpoint),
    /// The same, by order of a gateway at the edge.
    Order(Endpoint),
    /// The tokens of a prompt.
    Tokenize,
    /// The models that the key may ask for.
    Models,
    /// One of them.
    Model(&'a str),
    /// Whether the process runs.
    Healthz,
    /// Whether it takes requests.
    Readyz,
    /// Figures in Prometheus' text format.
    Metrics,
    /// How the budgets of the key's tenant stand.
    Usage,
    /// Something for operators.
    Admin(AdminRoute<'a>),
    /// What this gateway does not do, by its role.
    OtherRole,
    /// OpenAI's Responses API, which is not served yet.
    Responses,
    /// The path exists with these methods only.
    MethodNotAllowed(&'static str),
    /// No such path.
    NotFound,
}

/// Whom a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Those who ask for answers.
    Clients,
    /// Gateways at the edge, in whose name they ask.
    Edge,
    /// Those who run the gateway.
    Operators,
    /// Whoever probes it.
    Anybody,
}

/// What an engine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
}

/// A family of API, with its own shapes of requests, answers, streams and errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's, in which the gateway's own paths speak too.
    #[default]
    OpenAi,
}

impl<'a> Route<'a> {
    /// What `method` on `path` is for. HEAD is for the same as GET, and answered without a body.
    pub fn of(method: &Method, path: &'a str) -> Self {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let (route, allowed) = match path {
            "/v1/chat/completions" => (Self::Generate(Endpoint::Chat), POST),
            "/v1/completions" => (Self::Generate(Endpoint::Completions), POST),
            "/v1/embeddings" => (Self::Generate(Endpoint::Embeddings), POST),
            "/hop/v1/chat/completions" => (Self::Order(Endpoint::Chat), POST),
            "/hop/v1/completions" => (Self::Order(Endpoint::Completions), POST),
            "/hop/v1/embeddings" => (Self::Order(Endpoint::Embeddings), POST),
            "/tokenize" => (Self::Tokenize, POST),
            "/v1/models" => (Self::Models, GET),
            "/healthz" => (Self::Healthz, GET),
            "/readyz" => (Self::Readyz, GET),
            "/metrics" => (Self::Metrics, GET),
            "/v1/usage" => (Self::Usage, GET),
            "/v1/responses" => return Self::Responses,
            _ => match Self::below(method, path) {
                Some(route) => route,
                None => return Self::NotFound,
            },
        };
        if allowed.split(", ").any(|allowed| method == allowed) {
            route
        } else {
            Self::MethodNotAllowed(allowed)
        }
    }

    /// What a path with a name in it is for, and its methods.
    fn below(method: &Method, path: &'a str) -> Option<(Self, &'static str)> {
        if let Some(model) = path.strip_prefix("/v1/models/").filter(|model| !model.is_empty()) {
            return Some((Self::Model(model), GET));
        }
        let (about, names) = admin::find(path)?;
        let right = admin::right(about, method);
        Some((Self::Admin(AdminRoute { about, names, right }), about.methods()))
    }

    /// The family of API in which its clients are told of errors.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Generate(endpoint) => endpoint.dialect(),
            Self::Order(_)
            | Self::OtherRole
            | Self::Tokenize
            | Self::Models
            | Self::Model(_)
            | Self::Healthz
            | Self::Readyz
            | Self::Metrics
            | Self::Usage
            | Self::Admin(_)
            | Self::Responses
            | Self::MethodNotAllowed(_)
            | Self::NotFound => Dialect::default(),
        }
    }

    /// Whom it is for.
    pub fn audience(&self) -> Audience {
        match self {
            Self::Generate(_) | Self::Tokenize | Self::Models | Self::Model(_) | Self::Usage | Self::Responses => {
                Audience::Clients
            }
            Self::Order(_) => Audience::Edge,
            Self::Metrics | Self::Admin(_) => Audience::Operators,
            Self::Healthz | Self::Readyz | Self::OtherRole | Self::MethodNotAllowed(_) | Self::NotFound => {
                Audience::Anybody
            }
        }
    }

    /// One word for metrics; as many as there are variants, whatever clients send.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Generate(endpoint) => endpoint.label(),
            Self::Order(_) => "order",
            Self::Tokenize => "tokenize",
            Self::Models | Self::Model(_) => "models",
            Self::Healthz | Self::Readyz => "health",
            Self::Metrics => "metrics",
            Self::Usage => "usage",
            Self::Admin(_) => "admin",
            Self::Responses | Self::OtherRole | Self::MethodNotAllowed(_) | Self::NotFound => "other",
        }
    }
}

impl Endpoint {
    /// The family of API that it is in.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Completions | Self::Embeddings => Dialect::OpenAi,
        }
    }

    /// Its path, here and at engines.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
        }
    }

    /// Its path at a region hop.
    pub fn order_path(self) -> &'static str {
        match self {
            Self::Chat => "/hop/v1/chat/completions",
            Self::Completions => "/hop/v1/completions",
            Self::Embeddings => "/hop/v1/embeddings",
        }
    }

    /// The parameter that holds its prompt.
    pub fn prompt_param(self) -> &'static str {
        match self {
            Self::Chat => "messages",
            Self::Completions => "prompt",
            Self::Embeddings => "input",
        }
    }

    /// Whether its answer is generated, so that it takes room in the context.
    pub fn generates(self) -> bool {
        match self {
            Self::Chat | Self::Completions => true,
            Self::Embeddings => false,
        }
    }

    /// One word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
        }
    }
}

/// The methods of paths, as `allow` lists them.
const POST: &str = "POST";
const GET: &str = "GET, HEAD";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_methods_and_what_is_neither() {
        for (method, path, route) in [
            (Method::POST, "/v1/chat/completions", Route::Generate(Endpoint::Chat)),
            (Method::POST, "/hop/v1/completions", Route::Order(Endpoint::Completions)),
            (Method::GET, "/hop/v1/embeddings", Route::MethodNotAllowed("POST")),
            (Method::POST, "/tokenize", Route::Tokenize),
            (Method::GET, "/v1/chat/completions", Route::MethodNotAllowed("POST")),
            (Method::GET, "/v1/models", Route::Models),
            (Method::GET, "/v1/models/org/name", Route::Model("org/name")),
            (Method::GET, "/v1/usage", Route::Usage),
            (
                Method::POST,
                "/admin/budgets/acme/chat",
                Route::MethodNotAllowed("GET, HEAD, PUT, DELETE"),
            ),
            (Method::GET, "/admin/budgets/acme", Route::NotFound),
            (Method::HEAD, "/healthz", Route::Healthz),
            (Method::HEAD, "/v1/models", Route::Models),
            (Method::HEAD, "/v1/models/org/name", Route::Model("org/name")),
            (Method::HEAD, "/v1/chat/completions", Route::MethodNotAllowed("POST")),
            (Method::OPTIONS, "/v1/models", Route::MethodNotAllowed("GET, HEAD")),
            (Method::POST, "/v1/responses", Route::Responses),
            (
                Method::DELETE,
                "/v1/models/org/name",
                Route::MethodNotAllowed("GET, HEAD"),
            ),
            (Method::GET, "/v1/models/", Route::NotFound),
            (Method::POST, "/admin/config", Route::MethodNotAllowed("GET, HEAD, PUT")),
            (Method::POST, "/v1/chat/completions/", Route::NotFound),
        ] {
            assert_eq!(Route::of(&method, path), route, "{method} {path}");
        }
        for endpoint in [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings] {
            assert_eq!(Route::of(&Method::POST, endpoint.order_path()), Route::Order(endpoint));
        }
    }
}
