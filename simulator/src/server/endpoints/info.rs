//! What an engine says of itself: models, health, version, load.

use http::StatusCode;
use serde_json::{Value, json};

use crate::server::reply::{Reply, ReplyBody, json_reply, reply};
use crate::server::shared::{Shared, unix_seconds};

/// `GET /v1/models`: the served names, then the adapters with the model they stand on.
pub(in crate::server) fn models(shared: &Shared) -> Reply {
    let base = &shared.options.models[0];
    let created = unix_seconds();
    let model = |name: &String, parent: Option<&String>| {
        json!({
            "id": name, "object": "model", "created": created, "owned_by": "vllm", "root": name, "parent": parent,
            "max_model_len": shared.context_tokens, "permission": [],
        })
    };
    let models = shared.options.models.iter().map(|name| model(name, None));
    let adapters = shared.options.adapters.iter().map(|name| model(name, Some(base)));
    let data: Vec<Value> = models.chain(adapters).collect();
    ok(&json!({ "object": "list", "data": data }))
}

/// `GET /health`: an empty 200, or 503 while the engine is dead.
pub(in crate::server) fn health(shared: &Shared) -> Reply {
    let status = if shared.driver.is_dead() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    reply(status, "text/plain", ReplyBody::whole(""))
}

/// `GET /version`.
pub(in crate::server) fn version() -> Reply {
    ok(&json!({ "version": concat!(env!("CARGO_PKG_VERSION"), "+simulated") }))
}

/// `GET /load`: requests under way.
pub(in crate::server) fn load(shared: &Shared) -> Reply {
    let requests = shared.driver.inspect(|engine, _| engine.running() + engine.waiting());
    ok(&json!({ "server_load": requests }))
}

pub(in crate::server) fn ok(answer: &Value) -> Reply {
    json_reply(StatusCode::OK, answer.to_string().into_bytes())
}
