//! What detectors find in answers that their engines take for good ones, and what clients see of it: what is told, where an
//! answer is cut, who answers instead, and what becomes of a replica that goes on so.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::Response;
use tidegate_tests::scripted::Script;
use tidegate_tests::sse::Stream;
use tidegate_tests::world::{World, key};

use crate::support::{assert_error_object, chat, chat_stream, chunk, eventually, post_chat, with};

/// The world of worlds/detection.toml.
static DETECTION: LazyLock<World> =
    LazyLock::new(|| World::start_or_exit("detection", include_str!("../../worlds/detection.toml"), FRANKFURT, &[]));

const STOP: &str =
    "data: {\"id\":\"x\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// A call of a tool, as an event.
fn call(name: &str, arguments: &str) -> String {
    let function = json!({"name": name, "arguments": arguments});
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": function});
    let choice = json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null});
    format!("data: {}\n\n", json!({"id": "x", "model": "m", "choices": [choice]}))
}

/// The declaration of a tool that takes a city.
fn tools() -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({"tools": [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]})
}

/// An answer that says something and, when its client has that, calls a tool so, and goes on.
fn talks_and_calls(name: &str, arguments: &str) -> Script {
    let said = Script::stream()
        .then(chunk("Well, "))
        .wait(300)
        .then(call(name, arguments));
    said.then(chunk("and on.")).then(STOP).then(DONE)
}

fn says_nothing() -> Script {
    Script::stream().then(STOP).then(DONE)
}

fn says(text: &str) -> Script {
    Script::stream().then(chunk(text)).then(STOP).then(DONE)
}

/// Both replicas of the pair answer so.
fn pair_answers(marker: &str, script: &Script) {
    for name in ["pair-1", "pair-2"] {
        DETECTION.scripted(name).on(marker, script.clone());
    }
}

fn ask(body: &Value) -> Response {
    DETECTION.send(&post_chat(body.to_string()))
}

fn detected(response: &Response) -> Option<&str> {
    response.header("x-tidegate-detected")
}

#[test]
fn what_is_found_is_told_in_a_header_or_behind_the_end_of_a_stream() {
    for (marker, script, found) in [
        ("told-nothing", says_nothing(), Some("empty")),
        ("told-stray", talks_and_calls("moonphase", "{}"), Some("tool_calls")),
        (
            "told-broken",
            talks_and_calls("weather", r#"{"city":"#),
            Some("tool_calls"),
        ),
        ("told-good", talks_and_calls("weather", r#"{"city":"Kyiv"}"#), None),
        ("told-text", says("Rain."), None),
    ] {
        pair_answers(marker, &script);
        let whole = ask(&with(chat("told", marker), tools()));
        assert_eq!(
            (whole.status, detected(&whole)),
            (200, found),
            "{marker}: {}",
            whole.text()
        );
        let stream = ask(&with(chat_stream("told", marker), tools()));
        assert_eq!((stream.status, detected(&stream)), (200, None), "{marker}");
        let end = found.map_or(DONE.to_owned(), |found| {
            format!("{DONE}: tidegate detected={found}\n\n")
        });
        assert!(stream.text().ends_with(&end), "{marker}: {}", stream.text());
    }
}

#[test]
fn what_a_tenant_does_not_want_looked_for_is_not_found() {
    pair_answers("careless asks", &says_nothing());
    let request = post_chat(chat("elsewhere", "careless asks").to_string()).key(&key("careless"));
    let response = DETECTION.send(&request);
    assert_eq!(
        (response.status, detected(&response)),
        (200, None),
        "{}",
        response.text()
    );
    assert_eq!(response.header("x-tidegate-tier"), Some("0"));
}

#[test]
fn an_answer_is_cut_in_good_order() {
    pair_answers("cut here", &talks_and_calls("moonphase", "{}"));
    let wish = json!({"stream_options": {"include_usage": true}});
    let response = ask(&with(chat_stream("ends", "cut here"), wish));
    let stream = Stream::parse(response.text());
    assert_eq!(
        (stream.text().as_str(), stream.error()),
        ("Well, ", None),
        "{}",
        response.text()
    );
    assert_eq!(stream.usages().len(), 1, "{}", response.text());
    assert!(response.text().contains("\"finish_reason\":\"stop\"") && response.text().contains(DONE));
    let whole = ask(&chat("ends", "cut here"));
    let body = whole.json();
    assert_eq!(body["choices"][0]["message"]["content"], "Well, ", "{body}");
    assert_eq!(body["choices"][0]["finish_reason"], "stop", "{body}");
    assert_eq!(detected(&whole), Some("tool_calls"));
}

#[test]
fn another_replica_answers_and_where_that_does_the_same_another_tier() {
    let engines = ["pair-1", "pair-2"].map(|name| DETECTION.scripted(name));
    for marker in ["elsewhere whole", "elsewhere stream"] {
        engines[0].on(marker, says_nothing());
        engines[1].on(marker, says("Here I am."));
        let body = match marker {
            "elsewhere whole" => chat("elsewhere", marker),
            _ => chat_stream("elsewhere", marker),
        };
        let response = ask(&body);
        assert_eq!(
            (response.status, response.header("x-tidegate-tier")),
            (200, Some("0")),
            "{}",
            response.text()
        );
        assert!(
            response.text().contains("Here I am.") && detected(&response).is_none(),
            "{}",
            response.text()
        );
    }
    pair_answers("nowhere", &says_nothing());
    DETECTION.scripted("low").on("nowhere", says("Low."));
    let response = ask(&chat("elsewhere", "nowhere"));
    assert_eq!(
        (response.status, response.header("x-tidegate-tier")),
        (200, Some("1")),
        "{}",
        response.text()
    );
    let asked = engines.map(|engine| engine.seen("nowhere").len());
    assert_eq!(asked, [1, 1], "each once");
    DETECTION.scripted("low").on("nobody", says_nothing());
    pair_answers("nobody", &talks_and_calls("moonphase", "{}"));
    // What a lower tier says is held against the rules of its own model.
    let response = ask(&chat("elsewhere", "nobody"));
    assert_eq!(
        (response.status, detected(&response)),
        (200, Some("empty")),
        "{}",
        response.text()
    );
}

#[test]
fn where_the_client_has_a_part_the_stream_ends_with_an_error() {
    pair_answers("half an answer", &talks_and_calls("moonphase", "{}"));
    let response = ask(&chat_stream("elsewhere", "half an answer"));
    let stream = Stream::parse(response.text());
    assert_eq!((response.status, stream.text().as_str()), (200, "Well, "));
    let error = stream.error().expect("an error event");
    assert_error_object(error);
    assert_eq!(error["code"], "model_output_invalid", "{error}");
    assert!(!response.text().contains(DONE), "{}", response.text());
}

#[test]
fn a_replica_whose_answers_are_faulty_far_more_often_than_its_peers_is_left_alone() {
    let engines = ["ill-1", "ill-2"].map(|name| DETECTION.scripted(name));
    engines[0].on("ill asks", says_nothing());
    engines[1].on("ill asks", says("Fine."));
    let replica = format!("replica=\"{}\"", engines[0].url());
    let mut asked = 0;
    eventually("it is left alone", || {
        for _ in 0..40 {
            asked += 1;
            // A request that is asked again says nothing new.
            assert_eq!(ask(&chat("ill", &format!("{asked} ill asks"))).status, 200);
        }
        DETECTION.figure("tidegate_watched_left_alone", &replica) == Some(1.0)
    });
    assert!(asked >= 80, "{asked} answers are no evidence");
    assert_eq!(DETECTION.figure("tidegate_cluster_available", &replica), Some(0.0));
    let before = engines[0].seen("ill asks").len();
    for rest in 0..10 {
        assert_eq!(ask(&chat("ill", &format!("rest {rest} ill asks"))).status, 200);
    }
    assert_eq!(engines[0].seen("ill asks").len(), before);
}
