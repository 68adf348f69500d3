//! Texts where no model answers: for each reason, in the form and the language that a client wants, and changed while the
//! gateway serves.

use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};
use tidegate_tests::gateway::FRANKFURT;
use tidegate_tests::http::{Request, Response};
use tidegate_tests::runtime;
use tidegate_tests::sse::Stream;
use tidegate_tests::world::{World, key};

use crate::sdk::{passes, programs};
use crate::support::{
    assert_error, assert_error_object, chat, chat_stream, eventually, invalid_request, post_chat, with,
};

const TEMPLATE: &str = include_str!("../../worlds/canned.toml");

static CANNED: LazyLock<World> = LazyLock::new(|| World::start_or_exit("canned", TEMPLATE, FRANKFURT, &[]));

const DEFAULT: &str = "High water. Please try again in a while.";

fn ask(body: &Value) -> Response {
    CANNED.send(&post_chat(body.to_string()))
}

fn ask_as(tenant: &str, body: &Value) -> Response {
    CANNED.send(&Request::post("/v1/chat/completions", body.to_string()).key(&key(tenant)))
}

/// Judges a canned answer by its labels; gives its content.
#[track_caller]
fn canned(response: &Response, reason: &str) -> String {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("x-tidegate-tier"), Some("canned"));
    assert_eq!(response.header("x-tidegate-canned"), Some(reason));
    let body = response.json();
    let choice = &body["choices"][0];
    assert_eq!(
        (&body["model"], &choice["finish_reason"]),
        (&json!("canned"), &json!("stop"))
    );
    choice["message"]["content"].as_str().expect("a content").to_owned()
}

#[test]
fn each_reason_has_its_text() {
    assert_eq!(canned(&ask(&chat("tide-gone", "overload")), "overload"), DEFAULT);
    assert_eq!(
        canned(&ask(&chat("tide-kept", "kept out")), "maintenance"),
        "Low tide until further notice."
    );
    assert!(CANNED.engine("sim").requests("kept out").is_empty(), "it is not asked");
    let abroad = chat("tide-abroad", "kept at home");
    assert_eq!(canned(&ask_as("eu-only", &abroad), "blocked_region"), "Not from here.");
    assert!(
        CANNED.engine("abroad").requests("kept at home").is_empty(),
        "nothing left the jurisdiction"
    );
    assert_eq!(ask(&abroad).header("x-tidegate-cluster"), Some("abroad"), "others may");
}

#[test]
fn a_budget_s_refusal_is_an_error_where_no_text_names_it() {
    let body = chat("tide-abroad", "spending");
    assert_eq!(ask_as("spendthrift", &body).status, 200);
    let refused = ask_as("spendthrift", &body);
    assert_eq!(
        (refused.status, refused.header("x-tidegate-canned")),
        (429, None),
        "{}",
        refused.text()
    );
    assert_error_object(&refused.json()["error"]);
    assert_eq!(ask_as("thrifty", &body).status, 200);
    let said = canned(&ask_as("thrifty", &body), "budget");
    let seconds = said
        .strip_prefix("The well is dry for ")
        .and_then(|rest| rest.strip_suffix(" seconds."));
    let seconds: u64 = seconds.expect("the text").parse().expect("a number");
    assert!((1..=60).contains(&seconds), "{said}");
    assert_eq!(
        CANNED.engine("abroad").requests("spending").len(),
        2,
        "who is refused is not served"
    );
}

#[test]
fn a_client_is_answered_in_its_language() {
    let german = "Hochwasser: tide-gone für everyone, overload.";
    let written = ask(&chat(
        "tide-gone",
        "Warum ist das Meer salzig, und was kann ich dagegen tun?",
    ));
    assert_eq!(canned(&written, "overload"), german);
    let body = chat("tide-gone", "Why is the sea salty?").to_string();
    let said = CANNED.send(&post_chat(&body).header("accept-language", "de-AT, en;q=0.5"));
    assert_eq!(canned(&said, "overload"), german);
    let other = CANNED.send(&post_chat(&body).header("accept-language", "fr"));
    assert_eq!(canned(&other, "overload"), DEFAULT);
}

#[test]
fn an_answer_has_the_form_that_is_asked_for_or_is_none() {
    let asked = |fields: Value| ask(&with(chat("tide-gone", "forms"), fields));
    let json = asked(json!({"response_format": {"type": "json_object"}, "n": 2}));
    let said = json!({"error": DEFAULT}).to_string();
    assert_eq!(canned(&json, "overload"), said);
    assert_eq!(json.json()["choices"][1]["message"]["content"], said);
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["verdict", "reason"],
        "properties": {"verdict": {"enum": ["yes", "no", null]}, "reason": {"$ref": "#/$defs/text"}},
        "$defs": {"text": {"type": "string", "maxLength": 100}}
    });
    let format = |schema: &Value| {
        json!({"response_format": {"type": "json_schema",
        "json_schema": {"name": "x", "strict": true, "schema": schema}}})
    };
    let refused = asked(format(&schema));
    let content: Value = serde_json::from_str(&canned(&refused, "overload")).expect("JSON");
    assert_eq!(content, json!({"verdict": null, "reason": DEFAULT}));
    assert_eq!(refused.json()["choices"][0]["message"]["refusal"], DEFAULT);
    let of_figures = json!({"type": "object", "required": ["figure"], "properties": {"figure": {"type": "number"}}});
    for fields in [
        format(&of_figures),
        json!({"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}),
        json!({"guided_choice": ["yes", "no"]}),
        json!({"structured_outputs": {"regex": "a+"}}),
    ] {
        let response = asked(fields.clone());
        assert_eq!(response.status, 502, "{fields}: {}", response.text());
        assert_eq!(response.json()["error"]["code"], "upstream_unreachable");
    }
}

#[test]
fn a_stream_ends_each_choice_and_tells_its_usage() {
    let asked = json!({"n": 2, "stream_options": {"include_usage": true}});
    let response = ask(&with(chat_stream("tide-gone", "streamed"), asked));
    assert_eq!(response.header("x-tidegate-canned"), Some("overload"));
    let stream = Stream::parse(response.text());
    let of_second: Vec<_> = stream
        .chunks
        .iter()
        .filter(|chunk| chunk["choices"][0]["index"] == 1)
        .collect();
    assert_eq!(of_second[0]["choices"][0]["delta"]["content"], DEFAULT);
    assert_eq!(of_second[1]["choices"][0]["finish_reason"], "stop");
    assert_eq!((of_second.len(), stream.usages().len(), stream.done), (2, 1, true));
}

#[test]
fn texts_change_while_the_gateway_serves() {
    let world = World::start_or_exit("canned-changing", TEMPLATE, FRANKFURT, &[]);
    let ask = |body: &Value| world.send(&post_chat(body.to_string()));
    let admin = |method: &str, body: &str| {
        let request = Request::new(method, "/admin/v1/canned").key(&key("admin"));
        world.send(&request.header("content-type", "application/toml").body(body.to_owned()))
    };
    let says = |text: &str| {
        let response = ask(&chat("tide-gone", "changing"));
        response.json()["choices"][0]["message"]["content"] == text
    };
    let before = admin("GET", "");
    assert!(
        before.text().contains("Low tide until further notice."),
        "{}",
        before.text()
    );
    let reader = Request::new("PUT", "/admin/v1/canned")
        .key(&key("reader"))
        .body("[canned]");
    assert_eq!(world.send(&reader).status, 403);
    let wrong = admin("PUT", "[[canned.texts]]\nmodel = \"nobody\"\ntext = \"{{nothing}}\"\n");
    assert_error(&wrong, invalid_request(422, None, Some("invalid_canned_texts")));
    for mistake in ["canned.toml:2", "`nobody`", "canned.toml:3", "`nothing`"] {
        assert!(wrong.text().contains(mistake), "{mistake}: {}", wrong.text());
    }
    let put = admin(
        "PUT",
        "[[canned.texts]]\nmodel = \"tide-gone\"\ntext = \"Spring tide.\"\n",
    );
    assert_eq!(put.status, 200, "{}", put.text());
    eventually("the new text is given", || says("Spring tide."));
    // Out of service no more, for the document stands in place of the configuration's table.
    eventually("the model answers", || {
        ask(&chat("tide-kept", "back in service")).header("x-tidegate-tier") == Some("0")
    });
    assert_eq!(admin("DELETE", "").status, 200);
    eventually("the configuration's texts are given", || says(DEFAULT));
    eventually("the model is out of service", || {
        ask(&chat("tide-kept", "out of service")).header("x-tidegate-canned") == Some("maintenance")
    });
}

#[test]
fn sdks_read_texts_streams_and_refusals() {
    let mut python = Command::new(runtime::python());
    python.arg(programs().join("python/canned.py"));
    let mut node = Command::new("node");
    node.arg(programs().join("node/canned.mjs"))
        .env("TIDEGATE_NODE_MODULES", runtime::node_modules());
    for (command, sdk) in [(python, "python"), (node, "node")] {
        passes(command, sdk, &CANNED, &key("everyone"));
    }
}
