//! Embeddings: they pass as they come, however large they are, and what breaks off looks so to its client.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_tests::http::Response;
use tidegate_tests::runtime::Runtime;
use tidegate_tests::scripted::Script;

use crate::support::{SHARED, eventually, post, scripted};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
const BEGIN: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0"#;
const END: &str = r#"]}],"model":"served","usage":{"prompt_tokens":7,"total_tokens":7}}"#;
/// Numbers of a megabyte.
const NUMBERS: usize = 1 << 17;

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// An engine that sends so many megabytes between these.
fn embedding(megabytes: usize) -> Script {
    let numbers = chunk(&",-0.0125".repeat(NUMBERS));
    let begun = Script::raw(HEAD).then(chunk(BEGIN));
    (0..megabytes).fold(begun, |script, _| script.then(&numbers))
}

fn ask(marker: &str) -> Response {
    let body = json!({"model": "tide-scripted", "input": marker});
    SHARED.send(&post("/v1/embeddings", body.to_string()))
}

#[test]
fn embeddings_of_40_megabytes_pass_with_the_model_s_public_name() {
    let script = embedding(40).then(chunk(END)).then("0\r\n\r\n");
    scripted().on("embeds-40-megabytes", script);
    let response = ask("embeds-40-megabytes");
    assert!(response.status == 200 && response.complete, "{}", response.body.len());
    assert_eq!(response.header("content-length"), None);
    assert_eq!(response.header("x-tidegate-model"), Some("tide-scripted"));
    assert!(response.body.starts_with(BEGIN.as_bytes()));
    let end = END.replace("served", "tide-scripted");
    assert!(response.body.ends_with(end.as_bytes()));
    assert_eq!(response.body.len(), BEGIN.len() + 40 * 8 * NUMBERS + end.len());
}

#[test]
fn embeddings_that_break_off_half_way_are_broken_for_the_client() {
    scripted().on("embeds-half", embedding(4));
    let response = ask("embeds-half");
    assert_eq!(response.status, 200);
    assert_broken(&response);
    // A body that ends in good order, but not its object.
    scripted().on("embeds-cut", embedding(4).then("0\r\n\r\n"));
    let response = ask("embeds-cut");
    assert_eq!(response.status, 200);
    assert_broken(&response);
}

/// No client takes it for whole: the connection ends in mid-body, but for workerd's, which ends chunks in good order whatever
/// becomes of the stream; there the JSON is cut.
#[track_caller]
fn assert_broken(response: &Response) {
    let is_broken = match Runtime::current() {
        Runtime::Cloudflare => serde_json::from_slice::<Value>(&response.body).is_err(),
        Runtime::Native | Runtime::Spin => !response.complete,
    };
    assert!(is_broken, "{} bytes", response.body.len());
}

#[test]
fn embeddings_that_break_off_at_once_are_an_error() {
    scripted().on("embeds-little", Script::raw(HEAD).then(chunk(BEGIN)));
    let response = ask("embeds-little");
    assert_eq!(response.status, 502, "{}", response.text());
    let error: Value = response.json();
    assert!(error["error"]["message"].is_string(), "{error}");
}

#[test]
fn an_engine_that_embeds_is_stopped_when_the_client_leaves() {
    let script = (0..20).fold(embedding(2), |script, _| {
        script.wait(300).then(chunk(&",1".repeat(9_000)))
    });
    scripted().on("embeds-left", script);
    let body = json!({"model": "tide-scripted", "input": "embeds-left"});
    let mut exchange = post("/v1/embeddings", body.to_string()).open(SHARED.gateway.address());
    exchange.read_until("-0.0125");
    let left = Instant::now();
    drop(exchange);
    let left_at = || scripted().seen("embeds-left").first().and_then(|seen| seen.left_at);
    eventually("the engine is left", || left_at().is_some());
    let after = left_at().expect("it is left").saturating_duration_since(left);
    assert!(after < Duration::from_secs(2), "{after:?}");
}
