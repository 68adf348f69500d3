//! Texts where no engine answers: for each reason, in whose words, in which form, and as documents that change.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use serde_json::{Value, json};
use tidegate_core::Body;
use tidegate_core::observe::{Level, Sink};

use crate::admin::{ask, assert_conforms_to};
use crate::budgets::limited;
use crate::world::{Piece, Reaction, World};
use crate::{CHAT, chat, config, done, event, header, sse};

const CANNED: &str = "/admin/v1/canned";

/// The tests' configuration with these texts.
fn with_texts(texts: &str) -> String {
    format!("{}\n{texts}", config())
}

/// Status, reason and content of the answer to a chat of the model `big`.
fn said(world: &mut World, headers: &[(&'static str, &str)], body: &Value) -> (u16, String, Value) {
    let posting = world.posting(CHAT, headers, &body.to_string());
    let response = world.run(posting);
    read(world, response)
}

fn read(world: &mut World, response: Response<Body>) -> (u16, String, Value) {
    let status = response.status().as_u16();
    let reason = header(&response, "x-tidegate-canned").to_owned();
    assert_eq!(!reason.is_empty(), header(&response, "x-tidegate-tier") == "canned");
    let body: Value = serde_json::from_str(&world.rest(response.into_body())).expect("JSON");
    let said = if status == 200 {
        body["choices"][0]["message"]["content"].clone()
    } else {
        body["error"]["code"].clone()
    };
    (status, reason, said)
}

fn asking(text: &str) -> Value {
    json!({"model": "big", "messages": [{"role": "user", "content": text}]})
}

fn with(mut body: Value, fields: Value) -> Value {
    let (Value::Object(body_fields), Value::Object(fields)) = (&mut body, fields) else {
        panic!("objects");
    };
    body_fields.extend(fields);
    body
}

fn drain(world: &mut World, cluster: &str, replica: &str) {
    let path = format!("/admin/v1/clusters/{cluster}/replicas/{replica}/drain");
    assert_eq!(ask(world, "admin-key", ("POST", &path), "").0, 200);
}

#[test]
fn an_overload_says_so_with_what_is_known_of_the_request() {
    let texts = r#"
[[canned.texts]]
reason = "overload"
text = "{{model}}/{{tenant}}/{{reason}}/{{retry_after_seconds}}/{{request_id}}"
"#;
    let mut world = World::new(&with_texts(texts), |_| Reaction::Refuse);
    let posting = world.posting(CHAT, &[], &with(asking("hi"), json!({"model": "gpt"})).to_string());
    let response = world.run(posting);
    let id = header(&response, "x-request-id").to_owned();
    let (status, reason, said) = read(&mut world, response);
    assert_eq!((status, reason.as_str()), (200, "overload"));
    assert_eq!(said, format!("big/acme/overload/60/{id}"));
    assert!(
        world
            .metrics()
            .contains("tidegate_canned_total{model=\"big\",reason=\"overload\"} 1\n")
    );
}

#[test]
fn where_all_replicas_drain_it_is_maintenance_and_where_one_is_full_it_is_not() {
    let texts = "[[canned.texts]]\nreason = \"maintenance\"\ntext = \"maintenance\"\n";
    let mut world = World::new(&with_texts(texts), |_| sse(vec![event("a"), done()]));
    for (cluster, replica) in [("near", "near-a"), ("near", "near-b"), ("far", "far-a")] {
        assert_eq!(said(&mut world, &[], &asking("hi")).1, "", "before {replica} drains");
        drain(&mut world, cluster, replica);
    }
    // What is kept of permits is lent for a second.
    world.pass(Duration::from_secs(2));
    let expected = (200, "maintenance".to_owned(), json!("maintenance"));
    assert_eq!(said(&mut world, &[], &asking("hi")), expected);
    let (_, asked) = ask(&mut world, "admin-key", ("POST", "/admin/v1/explain"), &to_try());
    assert_eq!(asked["outcome"], json!({"kind": "canned", "reason": "maintenance"}));

    let hanging = |_: &Request<bytes::Bytes>| sse(vec![event("a"), Piece::Wait(Duration::from_secs(60)), done()]);
    let mut world = World::new(&with_texts(texts), hanging);
    for (cluster, replica) in [("near", "near-a"), ("near", "near-b")] {
        drain(&mut world, cluster, replica);
    }
    let held: Vec<_> = (0..4).map(|_| world.post(CHAT, &chat("big", true))).collect();
    assert_eq!(said(&mut world, &[], &asking("hi")).1, "overload");
    drop(held);
}

fn to_try() -> String {
    json!({"tenant": "acme", "body": asking("hi")}).to_string()
}

#[test]
fn a_model_out_of_service_is_not_asked_and_a_lower_tier_answers() {
    let texts = |models: &str| with_texts(&format!("[canned]\nmaintenance = [{models}]\n"));
    let mut world = World::new(&texts("\"gpt\""), |_| sse(vec![event("small"), done()]));
    let response = world.post(CHAT, &chat("big", false));
    assert_eq!(
        (
            header(&response, "x-tidegate-tier"),
            header(&response, "x-tidegate-model")
        ),
        ("1", "small")
    );
    assert!(
        world.sent().iter().all(|(_, body)| body.contains("org/small")),
        "{:?}",
        world.sent()
    );
    // With its own text at the bottom, without one, and for who takes no lower tier.
    let mut world = World::new(&texts("\"big\", \"small\""), |_| panic!("nobody is asked"));
    let expected = (200, "maintenance".to_owned(), json!("Please try again."));
    assert_eq!(said(&mut world, &[], &asking("hi")), expected);
    let of_small = with(asking("hi"), json!({"model": "small"}));
    assert_eq!(
        said(&mut world, &[], &of_small),
        (503, String::new(), json!("maintenance"))
    );
    let no_lower = [("x-tidegate-lowest-tier", "big")];
    assert_eq!(
        said(&mut world, &no_lower, &asking("hi")),
        (503, String::new(), json!("maintenance"))
    );
    let (_, explained) = ask(&mut world, "admin-key", ("POST", "/admin/v1/explain"), &to_try());
    let steps = explained["steps"].as_array().expect("steps");
    let passed: Vec<_> = steps
        .iter()
        .filter(|step| step["step"] == "maintenance")
        .map(|step| &step["model"])
        .collect();
    assert_eq!(passed, ["big", "small"]);
    let of_small = json!({"tenant": "acme", "body": of_small}).to_string();
    let (_, explained) = ask(&mut world, "admin-key", ("POST", "/admin/v1/explain"), &of_small);
    assert_eq!(explained["outcome"]["error"], "maintenance");
}

#[test]
fn a_blocked_region_is_an_error_unless_a_text_names_it() {
    let ask_as_european = |texts: &str| {
        let mut world = World::new(&with_texts(texts), |_| panic!("nobody is asked"));
        let body = with(asking("hi"), json!({"model": "small"}));
        let response = world.post_as("eu-key", CHAT, &body.to_string());
        read(&mut world, response)
    };
    let any = "[[canned.texts]]\ntext = \"any\"\n";
    let error = (403, String::new(), json!("jurisdiction"));
    assert_eq!(ask_as_european(any), error);
    let of_others = "[[canned.texts]]\nreason = \"blocked_region\"\ntenant = \"acme\"\ntext = \"stay\"\n";
    assert_eq!(ask_as_european(of_others), error);
    let named = "[[canned.texts]]\nreason = \"blocked_region\"\ntext = \"{{model}} is not in your region\"\n";
    let expected = (200, "blocked_region".to_owned(), json!("small is not in your region"));
    assert_eq!(ask_as_european(named), expected);
}

#[test]
fn a_used_up_budget_is_an_error_unless_a_text_names_it() {
    let text = "[[canned.texts]]\ntenant = \"payer\"\nreason = \"budget\"\ntext = \"in {{retry_after_seconds}} s\"\n";
    for (limits, is_refused_before_its_body) in [("requests_per_minute = 1", true), ("tokens_per_minute = 600", false)]
    {
        for (texts, status) in [("", 429), (text, 200)] {
            let config = format!("{}\n{texts}", limited(limits));
            let mut world = World::new(&config, |_| sse(vec![event("a"), crate::usage(), done()]));
            let body = with(asking("hi"), json!({"max_tokens": 500}));
            let mut post = || {
                let response = world.post_as("key-of-payer", CHAT, &body.to_string());
                assert!(response.headers().contains_key("x-ratelimit-limit-requests") || !is_refused_before_its_body);
                read(&mut world, response)
            };
            // The first is served; of tokens so many are reserved while it runs that a second at the same time has none.
            assert_eq!(post().0, 200);
            if !is_refused_before_its_body {
                let more = with(asking("hi"), json!({"max_tokens": 590}));
                let held = world.post_as(
                    "key-of-payer",
                    CHAT,
                    &with(more.clone(), json!({"stream": true})).to_string(),
                );
                let response = world.post_as("key-of-payer", CHAT, &more.to_string());
                let refused = read(&mut world, response);
                assert_eq!(refused.0, status, "{limits}: {refused:?}");
                drop(held);
                continue;
            }
            let refused = post();
            assert_eq!(refused.0, status, "{limits}: {refused:?}");
            if status == 200 {
                assert_eq!((refused.1.as_str(), &refused.2), ("budget", &json!("in 60 s")));
                // What is no request is refused as it was.
                let wrong = world.post_as("key-of-payer", CHAT, "{");
                assert_eq!(wrong.status(), 429);
                let posting = Request::post(CHAT).header("x-tidegate-lowest-tier", "big");
                let serving = world.serving(
                    posting.header("authorization", "Bearer key-of-payer"),
                    &body.to_string(),
                );
                assert_eq!(world.run(serving).status(), 429, "its client takes no text");
            }
        }
    }
}

#[test]
fn a_client_reads_its_own_language() {
    let texts = r#"
[[canned.texts]]
text = "later"

[[canned.texts]]
language = "de"
text = "später"

[[canned.texts]]
language = "ja"
text = "後で"
"#;
    let mut world = World::new(&with_texts(texts), |_| Reaction::Refuse);
    let german = "Wie kann ich das in einer Tabelle löschen?";
    for (accepts, text, expected) in [
        ("", "How do I do that?", "later"),
        ("", german, "später"),
        ("*", german, "später"),
        ("ja-JP, de;q=0.5", german, "後で"),
        ("fr", german, "später"),
        ("de-CH", "How do I do that?", "später"),
        ("", "どうすればいいですか", "後で"),
        ("", "ok", "later"),
    ] {
        let headers: &[_] = if accepts.is_empty() {
            &[]
        } else {
            &[("accept-language", accepts)]
        };
        let (_, _, said) = said(&mut world, headers, &asking(text));
        assert_eq!(said, expected, "{accepts} {text}");
    }
    let lines = [("accept-language", "fr, de;q=0.5"), ("accept-language", "ja;q=0.9")];
    assert_eq!(said(&mut world, &lines, &asking("How do I do that?")).2, "後で");
}

#[test]
fn what_demands_more_than_a_text_gets_the_error() {
    let mut world = World::new(&config(), |_| Reaction::Refuse);
    for (fields, code) in [
        (
            json!({"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}),
            "upstream_unreachable",
        ),
        (json!({"guided_choice": ["yes", "no"]}), "upstream_unreachable"),
    ] {
        assert_eq!(
            said(&mut world, &[], &with(asking("hi"), fields)),
            (502, String::new(), json!(code))
        );
    }
    let schema = json!({"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"],
        "additionalProperties": false});
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}});
    let (_, reason, content) = said(&mut world, &[], &with(asking("hi"), format));
    assert_eq!(
        (reason.as_str(), content.as_str()),
        ("overload", Some(r#"{"error":"Please try again."}"#))
    );
    let metrics = world.metrics();
    for why in ["tool_call", "guided"] {
        let counted = format!("tidegate_canned_withheld_total{{model=\"big\",why=\"{why}\"}} 1\n");
        assert!(metrics.contains(&counted), "{metrics}");
    }
}

#[test]
fn a_text_for_all_makes_a_tier_of_models_without_a_ladder() {
    let texts = "[[canned.texts]]\ntenant = \"acme\"\ntext = \"anywhere\"\n";
    let mut world = World::new(&with_texts(texts), |_| Reaction::Refuse);
    let of_small = with(asking("hi"), json!({"model": "small"}));
    let lowest = |tier| [("x-tidegate-lowest-tier", tier)];
    assert_eq!(
        said(&mut world, &[], &of_small),
        (200, "overload".to_owned(), json!("anywhere"))
    );
    assert_eq!(said(&mut world, &lowest("canned"), &of_small).0, 200);
    assert_eq!(said(&mut world, &lowest("small"), &of_small).0, 502);
    let posting = world.posting(CHAT, &lowest("medium"), &of_small.to_string());
    let response = world.run(posting);
    let wrong = world.rest(response.into_body());
    assert!(wrong.contains("small, canned"), "{wrong}");
}

#[test]
fn a_stream_that_is_open_already_is_told_the_reason_in_its_label() {
    let mut world = World::new(&config(), |_| Reaction::Hang);
    let response = world.post(CHAT, &chat("big", true));
    let text = world.rest(response.into_body());
    assert!(
        text.contains(": tidegate cache=bypass tier=canned canned=overload\n"),
        "{text}"
    );
    assert!(
        text.ends_with("data: [DONE]\n\n") && text.contains("Please try again."),
        "{text}"
    );
}

const DOCUMENT: &str = "[[canned.texts]]\nmodel = \"big\"\ntext = \"of the store\"\n";

fn put(world: &mut World, document: &str) -> (u16, Value) {
    ask(world, "admin-key", ("PUT", CANNED), document)
}

#[test]
fn an_operator_s_document_is_in_force_everywhere_until_it_is_taken_back() {
    let texts = "[[canned.texts]]\ntext = \"of the configuration\"\n";
    let mut world = World::new(&with_texts(texts), |_| Reaction::Refuse);
    let other = world.another(&with_texts(texts));
    let at_other = |world: &mut World| {
        let serving = other.serve(
            Request::post(CHAT).header("authorization", "Bearer key"),
            &asking("hi").to_string(),
        );
        let response = world.run(serving);
        read(world, response).2
    };
    let here = |world: &mut World| said(world, &[], &asking("hi")).2;
    assert_eq!(
        (here(&mut world), at_other(&mut world)),
        (json!("of the configuration"), json!("of the configuration"))
    );
    let (status, answer) = put(&mut world, DOCUMENT);
    assert_conforms_to("put", CANNED, &answer);
    assert_eq!((status, &answer["texts"]), (200, &json!(1)));
    assert_eq!(here(&mut world), "of the store", "at once where it was put");
    world.pass(Duration::from_secs(30));
    at_other(&mut world);
    assert_eq!(
        at_other(&mut world),
        "of the store",
        "elsewhere within refresh.config_ms"
    );
    let (status, answer) = ask(&mut world, "admin-key", ("DELETE", CANNED), "");
    assert_conforms_to("delete", CANNED, &answer);
    assert_eq!(
        (status, &answer["version"], &answer["texts"]),
        (200, &Value::Null, &json!(1))
    );
    assert_eq!(here(&mut world), "of the configuration");
    world.pass(Duration::from_secs(30));
    at_other(&mut world);
    assert_eq!(at_other(&mut world), "of the configuration");
}

fn document(world: &mut World, key: &str) -> String {
    let request = Request::get(CANNED).header("authorization", format!("Bearer {key}"));
    let serving = world.serving(request, "");
    let response = world.run(serving);
    world.rest(response.into_body())
}

#[test]
fn what_is_read_can_be_put_and_what_is_wrong_changes_nothing() {
    let texts =
        "[canned]\nmaintenance = [\"small\"]\n\n[[canned.texts]]\nlanguage = \"de\"\ntext = \"\\\"später\\\"\"\n";
    let mut world = World::new(&with_texts(texts), |_| Reaction::Refuse);
    let of_config = document(&mut world, "admin-key");
    assert!(
        of_config.starts_with("# ") && of_config.contains("später"),
        "{of_config}"
    );
    assert_eq!(put(&mut world, &of_config).0, 200);
    assert_eq!(document(&mut world, "admin-key"), of_config, "as it was put");
    for (wrong, line) in [
        (
            "[[canned.texts]]\nmodel = \"huge\"\ntext = \"x\"\n",
            "canned.toml:2: canned.texts[0].model: there is no model `huge`",
        ),
        (
            "[[canned.texts]]\ntext = \"{{x}}\"\nreason = 7\n",
            "canned.toml:2: canned.texts[0].text: there is no variable `x`",
        ),
        ("", "DELETE"),
        ("= =", "canned.toml:1: (syntax)"),
    ] {
        let (status, answer) = put(&mut world, wrong);
        assert_eq!(
            (status, &answer["error"]["code"]),
            (422, &json!("invalid_canned_texts")),
            "{answer}"
        );
        assert!(
            answer["error"]["message"].as_str().expect("words").contains(line),
            "{answer}"
        );
    }
    assert_eq!(document(&mut world, "admin-key"), of_config);
    assert_eq!(ask(&mut world, "key", ("PUT", CANNED), DOCUMENT).0, 401);
}

#[test]
fn what_is_put_and_what_is_damaged_is_told() {
    let mut world = World::new(&config(), |_| Reaction::Refuse);
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let written = Arc::clone(&lines);
    world.gateway.set_sink(Sink::new(Level::Info, move |record| {
        let line = record.to_string();
        if line.contains("canned texts") || line.contains("what=canned") {
            written.lock().unwrap().push(line);
        }
    }));
    let refused = |world: &mut World| {
        let serving = world.serving(Request::get("/readyz"), "");
        let response = world.run(serving);
        let told: Value = serde_json::from_str(&world.rest(response.into_body())).expect("JSON");
        let metrics = world.metrics();
        let counted = metrics.contains("tidegate_canned_refused 1\n");
        assert_eq!(told["canned_refused"], json!(counted), "{metrics}");
        counted
    };
    let look = |world: &mut World| {
        world.pass(Duration::from_secs(30));
        said(world, &[], &asking("hi"));
        said(world, &[], &asking("hi")).2
    };
    assert_eq!(put(&mut world, DOCUMENT).0, 200);
    world.put("canned", "[[canned.texts]]\ntext = \"{{oops}}\"\n");
    assert_eq!(look(&mut world), "of the store", "those before stay");
    assert!(refused(&mut world));
    // The store may have newer texts than the configuration: those of models that are not there stand idle.
    world.put(
        "canned",
        "[[canned.texts]]\nmodel = \"huge\"\ntext = \"x\"\n\n[[canned.texts]]\ntext = \"newer\"\n",
    );
    assert_eq!(look(&mut world), "newer");
    assert!(!refused(&mut world));
    assert_eq!(ask(&mut world, "admin-key", ("DELETE", CANNED), "").0, 200);
    let lines = lines.lock().unwrap();
    let expected = [
        "canned texts applied version=",
        "changed by an operator ",
        "canned texts in the store refused, those before stay:",
        "canned texts applied version=",
        "canned texts applied version=none",
        "changed by an operator ",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line}\n{expected}");
    }
    assert!(
        lines[1].contains("what=canned") && lines[1].contains(" before=none after="),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].contains("canned.toml:2: canned.texts[0].text: there is no variable `oops`"),
        "{}",
        lines[2]
    );
    assert!(lines[5].ends_with(" after=none"), "{}", lines[5]);
}

#[test]
fn a_fresh_gateway_with_a_damaged_document_gives_the_configuration_s_texts() {
    let mut world = World::new(&config(), |_| Reaction::Refuse);
    world.put("canned", "[[canned.texts]]\ntext = 7\n");
    assert_eq!(said(&mut world, &[], &asking("hi")).2, "Please try again.");
}

#[test]
fn a_request_keeps_the_texts_that_it_came_in_with() {
    let mut world = World::new(&config(), |_| Reaction::Hang);
    let response = world.post(CHAT, &chat("big", true));
    assert_eq!(put(&mut world, DOCUMENT).0, 200);
    assert!(world.rest(response.into_body()).contains("Please try again."));
    assert_eq!(said(&mut world, &[], &asking("hi")).2, "of the store");
}
