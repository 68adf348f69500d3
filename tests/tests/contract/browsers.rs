//! What browsers need: leave for pages of other origins, without a key, and answers that such pages can read.

use serde_json::json;
use tidegate_tests::http::{Request, Response};
use tidegate_tests::sse::Stream;
use tidegate_tests::world::key;

use crate::support::{AWAY, Expected, SHARED, assert_error, chat, chat_stream, post, post_chat};

#[test]
fn a_page_is_told_that_it_may_ask_before_it_sends_its_key() {
    for path in [
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/tide-solo",
        "/no/such/path",
    ] {
        let response = SHARED.send(&preflight(path, PAGE));
        assert_eq!((response.status, response.text()), (204, ""), "{path}");
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            response.header("access-control-allow-headers"),
            Some("authorization,content-type,x-stainless-lang")
        );
        let methods = response.header("access-control-allow-methods").unwrap_or_default();
        assert!(methods.contains("POST") && methods.contains("GET"), "{methods}");
        assert!(response.header("access-control-max-age").is_some());
        assert_eq!(response.header("access-control-allow-credentials"), None);
    }
    let no_page = SHARED.send(&Request::new("OPTIONS", "/v1/models"));
    assert_eq!((no_page.status, no_page.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_page_reads_answers_streams_errors_and_their_headers() {
    let asked = chat("tide-solo", "from a page");
    let embed = json!({"model": "tide-solo", "input": "from a page"});
    for request in [
        post_chat(asked.to_string()),
        post("/v1/embeddings", embed.to_string()),
        Request::get("/v1/models").key(&key("everyone")),
        Request::get("/healthz"),
        Request::get("/v1/models"),
        post_chat(chat("no-such-model", "from a page").to_string()),
        post_chat("nonsense"),
    ] {
        let response = SHARED.send(&request.header("origin", PAGE));
        assert_readable(&response);
        assert!(response.status < 500, "{}", response.text());
    }
    let streamed = SHARED.send(&post_chat(chat_stream("tide-solo", "from a page").to_string()).header("origin", PAGE));
    assert_readable(&streamed);
    assert!(Stream::parse(streamed.text()).done);
    let elsewhere = SHARED.send(&post_chat(asked.to_string()));
    assert_eq!(elsewhere.header("access-control-allow-origin"), None, "no page asked");
    assert_eq!(elsewhere.header("vary"), None, "the answer is the same for all");
}

#[test]
fn where_origins_are_listed_other_pages_may_neither_ask_nor_read() {
    let response = AWAY.send(&preflight("/v1/models", PAGE));
    assert_eq!(response.status, 204, "{}", response.text());
    assert_eq!(response.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(response.header("vary"), Some("origin"));
    let models = Request::get("/v1/models").key(&key("everyone"));
    let read = AWAY.send(&models.clone().header("origin", PAGE));
    assert_eq!(read.header("access-control-allow-origin"), Some(PAGE));

    let other = "https://app.example.com.evil.example";
    let refused = AWAY.send(&preflight("/v1/models", other));
    assert_error(
        &refused,
        Expected {
            status: 403,
            kind: "permission_error",
            param: None,
            code: Some("origin_not_allowed"),
        },
    );
    for unread in [&refused, &AWAY.send(&models.header("origin", other))] {
        assert_eq!(unread.header("access-control-allow-origin"), None);
        assert_eq!(unread.header("vary"), Some("origin"), "caches keep the answers apart");
    }
}

#[track_caller]
fn assert_readable(response: &Response) {
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some("*"),
        "{}",
        response.text()
    );
    let exposed = response.header("access-control-expose-headers").unwrap_or_default();
    for header in [
        "x-request-id",
        "x-ratelimit-remaining-tokens",
        "x-tidegate-cluster",
        "retry-after",
    ] {
        assert!(exposed.contains(header), "{header} is not among {exposed:?}");
    }
}

fn preflight(path: &str, origin: &str) -> Request {
    Request::new("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type,x-stainless-lang",
        )
}

/// A page that the world in Washington lists.
const PAGE: &str = "https://app.example.com";
