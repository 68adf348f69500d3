//! What tests share: the common world, ways to ask it, and how answers are judged.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::gateway::{FRANKFURT, WASHINGTON};
use tidegate_tests::http::{Exchange, Request, Response};
use tidegate_tests::scripted::{Script, Scripted};
use tidegate_tests::sse::Stream;
use tidegate_tests::wait::wait_until;
use tidegate_tests::world::{World, key};

/// The world of worlds/shared.toml, in Frankfurt.
pub static SHARED: LazyLock<World> = LazyLock::new(|| {
    let secrets = [("FRA_ENGINE_TOKEN", ENGINE_KEY_EU)];
    World::start_or_exit("shared", include_str!("../../worlds/shared.toml"), FRANKFURT, &secrets)
});

/// The world of worlds/away.toml, in Washington; its breakers open, and its configuration is replaced.
pub static AWAY: LazyLock<World> = LazyLock::new(|| World::start_or_exit("away", AWAY_CONFIG, WASHINGTON, &[]));

/// The configuration that the world in Washington starts with.
pub const AWAY_CONFIG: &str = include_str!("../../worlds/away.toml");

/// The upstream of model `tide-scripted`.
pub fn scripted() -> &'static Scripted {
    SHARED.scripted("scripted")
}

/// What the engines of cluster `eu` are to be told as a bearer token.
pub const ENGINE_KEY_EU: &str = "sk-engine-of-the-eu-cluster";

/// A chat request of one user message.
pub fn chat(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 8})
}

/// The same, streamed.
pub fn chat_stream(model: &str, text: &str) -> Value {
    with(chat(model, text), json!({"stream": true}))
}

/// `body` with more fields.
pub fn with(mut body: Value, fields: Value) -> Value {
    let (Value::Object(body_fields), Value::Object(fields)) = (&mut body, fields) else {
        panic!("both are objects")
    };
    body_fields.extend(fields);
    body
}

/// The body that an engine is sent in place of `body`, whose client wants a whole answer: it is asked for a stream.
pub fn asking_for_a_stream(body: &str) -> String {
    let open = body.strip_suffix('}').expect("an object");
    format!(r#"{open},"stream":true,"stream_options":{{"include_usage":true}}}}"#)
}

/// A chat request with the key of the tenant that may do everything.
pub fn post_chat(body: impl AsRef<str>) -> Request {
    post("/v1/chat/completions", body)
}

/// A request with the key of the tenant that may do everything.
pub fn post(target: &str, body: impl AsRef<str>) -> Request {
    Request::post(target, body.as_ref()).key(&key("everyone"))
}

/// Asks the shared world for a chat completion.
pub fn ask(body: &Value) -> Response {
    SHARED.send(&post_chat(body.to_string()))
}

/// Asks the shared world for a streamed chat completion and takes the answer apart.
pub fn ask_stream(body: &Value) -> (Response, Stream) {
    let response = ask(body);
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(response.complete, "the body was cut off: {:?}", response.text());
    let stream = Stream::parse(response.text());
    (response, stream)
}

/// Asks the world in Washington for a chat completion.
pub fn ask_away(model: &str, text: &str) -> Response {
    AWAY.send(&post_chat(chat(model, text).to_string()))
}

/// Opens a streamed chat completion of the shared world and leaves the rest to the test.
pub fn open_stream(body: &Value) -> Exchange {
    post_chat(body.to_string()).open(SHARED.gateway.address())
}

/// A chunk with a text, as an event.
pub fn chunk(text: &str) -> String {
    format!(
        "data: {{\"id\":\"x\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
    )
}

/// The event that ends a stream as it should.
pub const DONE: &str = "data: [DONE]\n\n";

/// A stream of one word, which ends as it should.
pub fn served() -> Script {
    Script::stream().then(chunk("served")).then(DONE)
}

/// What an error must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub status: u16,
    pub kind: &'static str,
    pub param: Option<&'static str>,
    pub code: Option<&'static str>,
}

/// Judges an error by everything that the API fixes about errors.
#[track_caller]
pub fn assert_error(response: &Response, expected: Expected) {
    assert_eq!(response.status, expected.status, "{}", response.text());
    let content_type = response.header("content-type").unwrap_or_default();
    assert!(content_type.starts_with("application/json"), "{content_type:?}");
    assert!(
        response.header("x-request-id").is_some_and(|id| id.starts_with("req_")),
        "{:?}",
        response.headers()
    );
    assert!(response.header("server-timing").is_some(), "{:?}", response.headers());
    let body = response.json();
    assert_error_object(&body["error"]);
    assert_eq!(body["error"]["type"], expected.kind, "{body}");
    assert_eq!(body["error"]["param"].as_str(), expected.param, "{body}");
    assert_eq!(body["error"]["code"].as_str(), expected.code, "{body}");
}

/// Judges the shape of an error, as a body or in-band.
#[track_caller]
pub fn assert_error_object(error: &Value) {
    let fields = error.as_object().unwrap_or_else(|| panic!("not an object: {error}"));
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["code", "message", "param", "type"], "{error}");
    assert!(
        error["message"].as_str().is_some_and(|message| !message.is_empty()),
        "{error}"
    );
    assert!(error["type"].is_string(), "{error}");
    assert!(error["param"].is_string() || error["param"].is_null(), "{error}");
    assert!(error["code"].is_string() || error["code"].is_null(), "{error}");
}

/// A request that the client got wrong.
pub fn invalid_request(status: u16, param: Option<&'static str>, code: Option<&'static str>) -> Expected {
    Expected {
        status,
        kind: "invalid_request_error",
        param,
        code,
    }
}

/// Waits until `holds`; panics with `what` when it does not come to hold in time.
#[track_caller]
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    wait_until(what, Duration::from_secs(8), holds);
}
