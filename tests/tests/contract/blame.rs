//! Whose fault a failure is: a client's mistake that makes engines fail takes no replica from the others, and what a
//! model does not do is told as that.

use serde_json::json;
use tidegate_tests::engine::Fault;
use tidegate_tests::http::Response;
use tidegate_tests::scripted::Script;

use crate::support::{
    AWAY, SHARED, ask, ask_away, ask_stream, assert_error, chat, chat_stream, invalid_request, post, scripted,
};

#[test]
fn a_request_at_which_two_replicas_fail_alike_is_told_so_and_takes_no_breaker_along() {
    for replica in ["brittle-1", "brittle-2"] {
        AWAY.engine(replica).fault("grammar without end", Fault::Status(500));
    }
    for number in 0..6 {
        let response = ask_away("tide-brittle", &format!("grammar without end {number}"));
        assert_error(&response, invalid_request(400, None, Some("rejected_by_engine")));
        assert_eq!(response.header("x-should-retry"), Some("false"));
        assert!(
            response.text().contains("EngineCore encountered an issue"),
            "{}",
            response.text()
        );
    }
    assert_eq!(seen_by_both("grammar without end 3"), 2, "two replicas, once each");
    let good = ask_away("tide-brittle", "a grammar with an end");
    assert_eq!(good.status, 200, "breakers open after two failures: {}", good.text());
}

#[test]
fn a_rejection_that_quotes_all_of_a_large_request_is_the_client_s() {
    let quoted = "x".repeat(200 << 10);
    let body = format!(r#"{{"detail":[{{"type":"string_type","msg":"not a string","input":"{quoted}"}}]}}"#);
    scripted().on("quoted-back", refusal("422 Unprocessable Entity", &body));
    let response = ask(&chat("tide-scripted", "quoted-back"));
    assert_error(&response, invalid_request(422, None, Some("rejected_by_engine")));
    assert!(response.text().contains("not a string"), "{}", response.text());
    assert_eq!(scripted().seen("quoted-back").len(), 1);
}

#[test]
fn what_a_model_does_not_do_is_told_in_the_engines_words_and_asked_once() {
    let unsupported = r#"{"error":{"code":501,"message":"This server does not support embeddings. Start it with `--embeddings`","type":"not_supported_error"}}"#;
    for (marker, status, body, told) in [
        ("not-supported", "501 Not Implemented", unsupported, 400),
        ("no-such-path", "404 Not Found", r#"{"detail":"Not Found"}"#, 404),
    ] {
        scripted().on(marker, refusal(status, body));
        let request = json!({"model": "tide-scripted", "input": marker});
        let response = SHARED.send(&post("/v1/embeddings", request.to_string()));
        assert_error(&response, invalid_request(told, None, Some("not_served")));
        let words = serde_json::from_str::<serde_json::Value>(body).expect("JSON");
        let words = words["error"]["message"]
            .as_str()
            .or(words["detail"].as_str())
            .expect("words");
        assert!(message(&response).contains(words), "{}", response.text());
        assert_eq!(scripted().seen(marker).len(), 1);
    }
}

#[test]
fn an_engines_moment_to_come_back_reaches_the_client_as_seconds() {
    let answer = "HTTP/1.1 503 Service Unavailable\r\nretry-after: Fri, 31 Dec 2100 23:59:59 GMT\r\n\
        connection: close\r\ncontent-length: 0\r\n\r\n";
    scripted().on("come-back-in-2100", Script::raw(answer));
    let response = ask(&chat("tide-scripted", "come-back-in-2100"));
    assert_eq!(response.status, 503);
    let seconds: u64 = response
        .header("retry-after")
        .expect("a time")
        .parse()
        .expect("seconds");
    let decade = 10 * 365 * 86_400;
    assert!((decade..10 * decade).contains(&seconds), "{seconds}");
}

#[test]
fn a_request_that_a_dying_connection_swallowed_goes_out_once_more() {
    let kept = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{\"choices\":[]}";
    let upstream = SHARED.scripted("swallowing");
    upstream.on("swallowed", Script::raw(kept).swallow_next());
    for _ in 0..6 {
        let response = ask(&chat("tide-swallowing", "swallowed"));
        assert_eq!(response.status, 200, "{}", response.text());
    }
    upstream.on(
        "swallowed in a stream",
        Script::stream().then("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n"),
    );
    let (_, stream) = ask_stream(&chat_stream("tide-swallowing", "swallowed in a stream"));
    assert!(stream.done, "{stream:?}");
}

fn refusal(status: &str, body: &str) -> Script {
    Script::raw(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn message(response: &Response) -> String {
    response.json()["error"]["message"]
        .as_str()
        .expect("a message")
        .to_owned()
}

fn seen_by_both(text: &str) -> usize {
    let seen = |replica: &str| AWAY.engine(replica).requests(text).len();
    seen("brittle-1") + seen("brittle-2")
}
