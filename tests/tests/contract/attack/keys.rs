//! Keys and members that are spelled in ways of their own: none opens what it should not, none costs an engine's time, and
//! no error repeats a key.

use std::io::Write;
use std::thread;

use serde_json::json;
use tidegate_tests::http::raw::{answers, statuses};
use tidegate_tests::http::{Exchange, Request, connect};
use tidegate_tests::world::key;

use super::{ATTACK, SILENCE, assert_neighbour_is_served, assert_nothing_is_left_behind, post};
use crate::support::{assert_error, chat, invalid_request};

#[test]
fn no_other_spelling_of_a_key_is_that_key() {
    let right = key("neighbour");
    let spelled = [
        ("authorization", format!("Bearer {}", right.to_uppercase())),
        (
            "authorization",
            format!("Bearer {}", right.to_lowercase().replace('-', "_")),
        ),
        ("authorization", format!("Bearer \"{right}\"")),
        ("authorization", format!("Bearer {right},")),
        ("authorization", format!("Bearer {right}, Bearer {right}")),
        ("authorization", format!("Bearer {} {}", &right[..20], &right[20..])),
        ("authorization", format!("Bearer {right}\u{200b}")),
        (
            "authorization",
            format!("Bearer {}", right.replace("tg", "\u{ff54}\u{ff47}")),
        ),
        ("authorization", format!("Bearer {right}%00")),
        ("authorization", format!("Bearer {right}{}", "A".repeat(64 << 10))),
        ("authorization", right.clone()),
        ("authorization", format!("Bearer{right}")),
        ("authorization", format!("Token {right}")),
        ("proxy-authorization", format!("Bearer {right}")),
        ("cookie", format!("authorization=Bearer {right}; api_key={right}")),
    ];
    thread::scope(|scope| {
        for (header, value) in spelled {
            let right = &right;
            scope.spawn(move || assert_is_no_key(header, &value, right));
        }
    });
    for query in ["key", "api_key", "api-key", "access_token", "authorization"] {
        let response = ATTACK.send(&Request::get(&format!("/v1/models?{query}={right}")));
        assert_error(&response, invalid_request(401, None, Some("invalid_api_key")));
        assert!(!response.text().contains(&right[3..]), "{}", response.text());
    }
    assert_nothing_is_left_behind(&ATTACK);
}

fn assert_is_no_key(header: &str, value: &str, right: &str) {
    let address = ATTACK.gateway.address();
    let request = Request::get("/v1/models").header(header, value);
    let answer = answers(address, &request.to_bytes(address), SILENCE);
    let is_refused = statuses(&answer).iter().all(|status| *status >= 400);
    assert!(is_refused, "{header} {value}: {answer}");
    assert!(!answer.contains(&right[3..20]), "{header} {value}: {answer}");
}

#[test]
fn a_member_that_counts_stands_once_however_it_is_spelled() {
    for (name, value) in [
        ("messages", json!([{"role": "user", "content": "twice"}])),
        ("stream", json!(true)),
        ("stream_options", json!({"include_usage": true})),
        ("max_tokens", json!(100_000)),
        ("max_completion_tokens", json!(100_000)),
        ("n", json!(128)),
        ("best_of", json!(128)),
        ("tools", json!([])),
        ("cache_salt", json!("another's")),
    ] {
        for (first, second) in [(name.to_owned(), escaped(name)), (escaped(name), escaped(name))] {
            let members = format!(r#"{{"{first}":{value},"{second}":{value},"#);
            let body = chat("calm", "stands twice").to_string().replacen('{', &members, 1);
            let response = ATTACK.send(&Request::post("/v1/chat/completions", body).key(&key("neighbour")));
            assert_error(&response, invalid_request(400, Some(name), Some("duplicate_parameter")));
        }
    }
    assert!(ATTACK.engine("calm").requests("stands twice").is_empty());
}

#[test]
fn what_steers_engines_is_refused_however_it_is_spelled() {
    for (members, param) in [
        (format!(r#""{}":-1"#, escaped("priority")), "priority"),
        (r#""priority":null,"priority":-1"#.to_owned(), "priority"),
        (r#""priority":-1,"priority":null"#.to_owned(), "priority"),
        (
            format!(r#""{}":{{}}"#, escaped("kv_transfer_params")),
            "kv_transfer_params",
        ),
        (
            r#""chat_template_kwargs":{"chat_template":"x"},"chat_template_kwargs":{}"#.to_owned(),
            "chat_template_kwargs.chat_template",
        ),
        (
            r#""chat_template_kwargs":{},"chat_template_kwargs":{"chat_template":"x"}"#.to_owned(),
            "chat_template_kwargs.chat_template",
        ),
        (
            format!(
                r#""{}":{{"{}":"x"}}"#,
                escaped("chat_template_kwargs"),
                escaped("chat_template")
            ),
            "chat_template_kwargs.chat_template",
        ),
    ] {
        let body = chat("calm", "spelled otherwise")
            .to_string()
            .replacen('{', &format!("{{{members},"), 1);
        let response = ATTACK.send(&Request::post("/v1/chat/completions", body).key(&key("neighbour")));
        assert!(
            response.status == 400,
            "{members}: {} {}",
            response.status,
            response.text()
        );
        assert!(response.text().contains(param), "{members}: {}", response.text());
    }
    assert!(ATTACK.engine("calm").requests("spelled otherwise").is_empty());
}

#[test]
fn nobody_without_a_key_makes_it_read_a_body() {
    let head = |owner: &str| {
        let request = Request::new("POST", "/v1/chat/completions").header("content-type", "application/json");
        request
            .header("content-length", &(4 << 20).to_string())
            .key(&key(owner))
    };
    // No byte of any body is sent: an answer can come of the head alone. All stay open until the last is answered.
    let crowd: Vec<_> = (0..40)
        .map(|number| thread::spawn(move || head(&format!("nobody {number}")).open(ATTACK.gateway.address())))
        .collect();
    let answers: Vec<Exchange> = crowd.into_iter().filter_map(|client| client.join().ok()).collect();
    assert_eq!(answers.len(), 40);
    assert!(answers.iter().all(|answer| answer.status == 401));
    assert_neighbour_is_served(&ATTACK);
    drop(answers);
    let mut known = connect(ATTACK.gateway.address());
    known
        .write_all(&head("neighbour").to_bytes("gateway"))
        .expect("the head is sent");
    let told = Exchange::read(known).finish();
    assert_error(&told, invalid_request(408, None, Some("body_timeout")));
    assert_eq!(ATTACK.send(&post("nobody", &chat("calm", "nobody"))).status, 401);
    assert_nothing_is_left_behind(&ATTACK);
}

/// A member's name with its first letter as an escape.
fn escaped(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("\\u{:04x}{rest}", first.as_bytes()[0])
}
