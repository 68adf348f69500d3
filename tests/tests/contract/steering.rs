//! What a client may not choose for the engine that serves it: where that gets kv_cache and media from, whom it serves
//! first, whose prefixes are shared.

use serde_json::{Value, json};
use tidegate_tests::http::{Request, Response};
use tidegate_tests::scripted::Script;
use tidegate_tests::world::key;

use crate::support::{SHARED, ask, assert_error, chat, invalid_request, post, post_chat, scripted, with};

#[test]
fn fields_that_steer_engines_are_refused_by_name() {
    scripted().on("steers-engines", Script::json(ANSWER));
    for (param, value) in [
        (
            "kv_transfer_params",
            json!({"do_remote_prefill": true, "remote_host": "10.0.0.1"}),
        ),
        ("priority", json!(-100)),
        ("request_id", json!("another's")),
        ("chat_template", json!("{{ messages }}")),
        ("logits_processors", json!(["os.system"])),
        ("prompt_embeds", json!("AAAA")),
    ] {
        let response = ask(&with(chat("tide-scripted", "steers-engines"), json!({param: value})));
        assert_error(
            &response,
            invalid_request(400, Some(param), Some("parameter_not_allowed")),
        );
        assert!(response.text().contains("engine_fields"), "{}", response.text());
    }
    let nested = json!({"chat_template_kwargs": {"chat_template": "{{ messages }}"}});
    let response = ask(&with(chat("tide-scripted", "steers-engines"), nested));
    let param = Some("chat_template_kwargs.chat_template");
    assert_error(&response, invalid_request(400, param, Some("parameter_not_allowed")));
    assert!(scripted().seen("steers-engines").is_empty());
}

#[test]
fn what_steers_other_engines_only_passes() {
    let harmless = json!({"bootstrap_host": "10.0.0.1", "n_predict": 7, "priority": null,
        "chat_template_kwargs": {"enable_thinking": false}});
    scripted().on("steers-others", Script::json(ANSWER));
    let response = ask(&with(chat("tide-scripted", "steers-others"), harmless.clone()));
    assert_eq!(response.status, 200, "{}", response.text());
    let seen = &scripted().seen("steers-others")[0];
    assert!(seen.body_without_salt().contains(r#""n_predict":7"#));
    let response = ask(&with(chat("tide-llama", "steers-others"), harmless));
    assert_error(
        &response,
        invalid_request(400, Some("n_predict"), Some("parameter_not_allowed")),
    );
}

#[test]
fn a_tenant_may_be_allowed_to_steer() {
    scripted().on("may-steer", Script::json(ANSWER));
    let asked = |fields: Value| with(chat("tide-scripted", "may-steer"), fields);
    let response = ask_as("operators", &asked(json!({"priority": -1, "kv_transfer_params": {}})));
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(
        scripted().seen("may-steer")[0]
            .body_without_salt()
            .contains(r#""priority":-1"#)
    );
    let response = ask_as("operators", &asked(json!({"request_id": "x"})));
    assert_error(
        &response,
        invalid_request(400, Some("request_id"), Some("parameter_not_allowed")),
    );
}

#[test]
fn engines_fetch_media_from_public_hosts_over_https_alone() {
    scripted().on("shows-an-image", Script::json(ANSWER));
    let showing = |url: &str| {
        let text = json!({"type": "text", "text": "shows-an-image"});
        let image = json!({"type": "image_url", "image_url": {"url": url}});
        json!({"model": "tide-scripted", "messages": [{"role": "user", "content": [text, image]}]})
    };
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "https://metadata.google.internal/",
        "file:///etc/passwd",
        "https://images.example.com\\@10.0.0.1/",
        "/etc/passwd",
        "https://wiki.corp/",
    ] {
        let response = ask(&showing(url));
        assert_error(
            &response,
            invalid_request(400, Some("messages"), Some("media_url_not_allowed")),
        );
    }
    // Half of a surrogate pair, which engines in Python read.
    let unreadable = showing("http://169.254.169.254/")
        .to_string()
        .replace("254/\"", "254/\\ud800\"");
    assert!(unreadable.contains("ud800"), "{unreadable}");
    let response = SHARED.send(&post_chat(unreadable));
    assert_error(
        &response,
        invalid_request(400, Some("messages"), Some("media_url_not_allowed")),
    );
    let embedding =
        json!({"model": "tide-scripted", "input": [{"text": "shows-an-image", "image": "file:///etc/passwd"}]});
    let response = SHARED.send(&post("/v1/embeddings", embedding.to_string()));
    assert_error(
        &response,
        invalid_request(400, Some("input"), Some("media_url_not_allowed")),
    );
    assert!(scripted().seen("shows-an-image").is_empty());
    for url in ["https://images.example.com/a.png", "data:image/png;base64,AAAA"] {
        let response = ask(&showing(url));
        assert_eq!(response.status, 200, "{url}: {}", response.text());
    }
}

#[test]
fn each_tenant_has_a_salt_of_its_own_for_prefix_caches() {
    scripted().on("salted-prompt", Script::json(ANSWER));
    let salt_of = |owner: &str, fields: Value| {
        let response = ask_as(owner, &with(chat("tide-scripted", "salted-prompt"), fields));
        assert_eq!(response.status, 200, "{}", response.text());
        let seen = scripted().seen("salted-prompt");
        let body: Value = serde_json::from_slice(&seen.last().expect("it was asked").body).expect("JSON");
        body["cache_salt"].as_str().expect("a salt").to_owned()
    };
    let everyone = salt_of("everyone", json!({}));
    assert_eq!(salt_of("everyone", json!({"cache_salt": null})), everyone);
    let operators = salt_of("operators", json!({}));
    assert_eq!(
        salt_of("operators-too", json!({})),
        operators,
        "they are to share prefixes"
    );
    let own = salt_of("everyone", json!({"cache_salt": "mine"}));
    let copied = salt_of("everyone", json!({"cache_salt": operators}));
    let mut salts = vec![everyone, operators, own, copied];
    salts.sort();
    salts.dedup();
    assert_eq!(salts.len(), 4, "{salts:?}");
    let response = ask(&with(chat("tide-scripted", "salted-prompt"), json!({"cache_salt": 7})));
    assert_error(
        &response,
        invalid_request(400, Some("cache_salt"), Some("invalid_type")),
    );
}

#[test]
fn what_one_tenant_has_sent_answers_no_other_sooner() {
    let prompt = "A prompt that is long enough to fill some blocks of the cache of an engine. ".repeat(8);
    let cached = |owner: &str| {
        let usage = ask_as(owner, &chat("tide-solo", &prompt)).json()["usage"].clone();
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0)
    };
    assert_eq!(cached("operators"), 0);
    assert_eq!(cached("everyone"), 0, "its timing would tell that somebody had sent it");
    assert!(cached("everyone") > 0 && cached("operators-too") > 0);
}

fn ask_as(owner: &str, body: &Value) -> Response {
    SHARED.send(&Request::post("/v1/chat/completions", body.to_string().as_str()).key(&key(owner)))
}

const ANSWER: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;
