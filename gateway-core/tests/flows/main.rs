//! Whole flows of requests through the pipeline, over a stepped world.

mod world;

mod admin;
mod assembly;
mod blame;
mod budgets;
mod cache;
mod canned;
mod charging;
mod clocks;
mod config;
mod connections;
mod detection;
mod drains;
mod engine_errors;
mod entering;
mod estimates;
mod event_log;
mod explain;
mod health;
mod hops;
mod jurisdictions;
mod ladder;
mod leaving;
mod lending;
mod passing;
mod prefixes;
mod probes;
mod recordings;
mod regions;
mod rollouts;
mod scale;
mod sharing;
mod signals;
mod silent_cells;
mod streams;
mod tokens;
mod too_large;
mod waiting;

use futures::StreamExt;
use tidegate_core::Body;
use tidegate_core::config::KeyDigest;

use crate::world::{Piece, Reaction, World};

/// Two clusters in two regions, two models, a ladder, and a tenant whose key is `key`. Limits are the defaults, but nobody
/// waits for room, and engines are not asked what they say of themselves.
fn config() -> String {
    let digest = KeyDigest::of("key");
    format!(
        r#"
[[regions]]
name = "fra"
latitude = 50.1
longitude = 8.7
jurisdiction = "eu"

[[regions]]
name = "iad"
latitude = 38.9
longitude = -77.0
jurisdiction = "us"

[[clusters]]
name = "near"
region = "fra"
engine = "vllm"
replicas = ["http://near-a", "http://near-b"]
kv_cache_tokens = 100000
prefill_tokens_per_s = 10000
max_running = 4

[[clusters]]
name = "far"
region = "iad"
engine = "vllm"
replicas = ["http://far-a"]
kv_cache_tokens = 100000
prefill_tokens_per_s = 10000
max_running = 4

[[models]]
name = "big"
aliases = ["gpt"]
context_length = 8192
serving = [{{ cluster = "near", served_name = "org/big" }}, {{ cluster = "far", served_name = "org/big" }}]

[[models]]
name = "small"
context_length = 8192
serving = [{{ cluster = "far", served_name = "org/small" }}]

[[ladders]]
model = "big"
tiers = ["small", {{ canned = "Please try again." }}]

[[tenants]]
name = "acme"
keys = ["{digest}"]

[[tenants]]
name = "europeans"
keys = ["{}"]
jurisdictions = ["eu"]

[admin]
keys = ["{}"]

# Where there is no room, requests are told so.
[queue]
wait_ms = 0

# Engines are sent nothing but requests.
[signals]
enabled = false
"#,
        KeyDigest::of("eu-key"),
        KeyDigest::of("admin-key"),
    )
}

const CHAT: &str = "/v1/chat/completions";

fn chat(model: &str, stream: bool) -> String {
    format!(r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"he"}}]}}"#)
}

fn sse(pieces: Vec<Piece>) -> Reaction {
    Reaction::Answer(200, "text/event-stream", pieces)
}

fn event(text: &str) -> Piece {
    Piece::Text(format!("data: {}\n\n", chunk(text)))
}

fn chunk(text: &str) -> String {
    format!(r#"{{"model":"org/big","choices":[{{"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#)
}

fn usage() -> Piece {
    Piece::Text(
        "data: {\"model\":\"org/big\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n"
            .to_owned(),
    )
}

fn done() -> Piece {
    Piece::Text("data: [DONE]\n\n".to_owned())
}

fn header<'a>(response: &'a http::Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn streaming(response: http::Response<Body>) -> futures::stream::LocalBoxStream<'static, bytes::Bytes> {
    match response.into_body() {
        Body::Stream(stream) => stream.map(|piece| piece.expect("it does not break off")).boxed_local(),
        Body::Full(body) => panic!("not streamed: {}", String::from_utf8_lossy(&body)),
    }
}

fn world(engines: impl Fn(&http::Request<bytes::Bytes>) -> Reaction + 'static) -> World {
    World::new(&config(), engines)
}

fn host(request: &http::Request<bytes::Bytes>) -> &str {
    request.uri().host().unwrap_or_default()
}
