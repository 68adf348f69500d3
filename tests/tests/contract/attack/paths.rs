//! Paths that mean two things: none leads past a key, or with a tenant's key to what is the operators'.

use std::thread;

use tidegate_tests::http::Request;
use tidegate_tests::http::raw::{answers, statuses};
use tidegate_tests::world::key;

use super::{ATTACK, SILENCE, assert_neighbour_is_served, assert_nothing_is_left_behind};

#[test]
fn no_spelling_of_a_path_leads_past_a_key() {
    thread::scope(|scope| {
        for target in SPELLINGS {
            scope.spawn(move || assert_closed(target));
        }
    });
    let config = ATTACK.send(&Request::get("/admin/config").key(&key("admin")));
    assert_eq!(config.status, 200, "it is as it was: {}", config.text());
    assert_neighbour_is_served(&ATTACK);
    assert_nothing_is_left_behind(&ATTACK);
}

fn assert_closed(target: &str) {
    let reading = Request::get(target);
    for request in [
        reading.clone(),
        reading.clone().key(&key("neighbour")),
        reading.key(&key("nobody")),
        Request::new("HEAD", target).key(&key("neighbour")),
        Request::new("PUT", target).body("[admin]\n").key(&key("neighbour")),
    ] {
        assert_refused(&request);
    }
}

#[test]
fn what_a_query_or_a_header_says_of_the_path_is_not_heard() {
    for (name, value) in [
        ("x-original-url", "/admin/config"),
        ("x-rewrite-url", "/admin/config"),
        ("x-http-method-override", "PUT"),
        ("x-forwarded-prefix", "/admin"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        let models = Request::get("/v1/models?path=/admin/config").key(&key("neighbour"));
        let response = ATTACK.send(&models.header(name, value));
        assert_eq!(response.status, 200, "{name}: {}", response.text());
        assert_eq!(response.json()["object"], "list", "{name}: {}", response.text());
    }
}

#[track_caller]
fn assert_refused(request: &Request) {
    let address = ATTACK.gateway.address();
    let answer = answers(address, &request.to_bytes(address), SILENCE);
    // Some servers close the connection without a word.
    let is_refused = statuses(&answer).iter().all(|status| *status >= 400);
    assert!(is_refused, "{request:?}: {answer}");
    assert!(
        !answer.contains("[[clusters]]") && !answer.contains("tidegate_"),
        "{request:?}: {answer}"
    );
}

/// Where a path is read before it is decoded, or after, or by a server before that reads it otherwise: each would be one
/// of the operators' endpoints to somebody.
const SPELLINGS: [&str; 26] = [
    "/admin/config",
    "/%61dmin/config",
    "/admin%2fconfig",
    "/admin%2Fconfig",
    "//admin/config",
    "/admin//config",
    "/./admin/config",
    "/v1/../admin/config",
    "/v1/models/../../admin/config",
    "/v1/%2e%2e/admin/config",
    "/v1/%2E%2E%2Fadmin%2Fconfig",
    "/v1/..%2fadmin/config",
    "/v1/%c0%ae%c0%ae/admin/config",
    "/v1/..;/admin/config",
    "/admin;x=1/config",
    "/admin/config;x",
    "/admin/config/",
    "/admin/config.",
    "/admin/config%00",
    "/admin/config%20",
    "/ADMIN/CONFIG",
    "/admin\\config",
    "/\u{ff41}dmin/config",
    "/admin/config#/v1/models",
    "/admin/config?/v1/models",
    "/metrics/",
];
