//! vLLM's load header: a client that sends `endpoint-load-metrics-format: JSON` (or `TEXT`) is told the engine's load
//! with its answer, in the terms of ORCA (Open Request Cost Aggregation).

use http::HeaderValue;
use http::request::Parts;

use super::reply::Reply;
use super::shared::Shared;

/// Adds the header if the request asks for it.
pub(super) fn add_load_header(shared: &Shared, parts: &Parts, reply: &mut Reply) {
    let Some(format) = parts
        .headers
        .get("endpoint-load-metrics-format")
        .and_then(|format| format.to_str().ok())
    else {
        return;
    };
    let (usage, waiting) = shared
        .driver
        .inspect(|engine, _| (engine.kv_cache_usage(), engine.waiting()));
    let text = match format.to_ascii_uppercase().as_str() {
        "JSON" => {
            format!(r#"JSON {{"named_metrics":{{"kv_cache_usage_perc":{usage:?},"num_requests_waiting":{waiting}}}}}"#)
        }
        "TEXT" => {
            format!("TEXT named_metrics.kv_cache_usage_perc={usage:?}, named_metrics.num_requests_waiting={waiting}")
        }
        _ => return,
    };
    if let Ok(value) = HeaderValue::try_from(text) {
        reply.headers_mut().insert("endpoint-load-metrics", value);
    }
}
