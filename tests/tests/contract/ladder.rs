//! The ladder: what answers when a tier cannot, and that it is always told.

use serde_json::json;
use tidegate_tests::engine::Fault;
use tidegate_tests::http::Response;
use tidegate_tests::sse::Stream;

use crate::support::{
    SHARED, ask, ask_stream, assert_error, chat, chat_stream, invalid_request, post, post_chat, with,
};

const CANNED: &str = "High water. Please try again in a while.";

#[test]
fn the_smaller_model_answers_when_the_big_one_cannot() {
    fail(&["eu-1", "eu-2"], "one tier down");
    for body in [
        chat("tide-large", "one tier down"),
        chat_stream("tide-large", "one tier down"),
    ] {
        let response = ask(&body);
        assert_eq!(response.status, 200, "{}", response.text());
        assert_label(&response, Some("small"), Some("tide-small"), "1");
        assert!(
            response.text().contains(r#""model":"tide-small""#),
            "{}",
            response.text()
        );
        assert!(!response.text().contains("tide-large"), "{}", response.text());
    }
}

#[test]
fn the_canned_response_answers_when_no_model_can() {
    fail(&["eu-1", "eu-2", "small-1"], "all the way down");
    let response = ask(&chat("tide-large", "all the way down"));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_label(&response, None, None, "canned");
    let body = response.json();
    assert_eq!(body["model"], "canned");
    assert_eq!(
        body["choices"][0]["message"],
        json!({"role": "assistant", "content": CANNED})
    );
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["total_tokens"], 0);
}

#[test]
fn the_canned_response_streams_to_those_who_stream() {
    let asked = with(
        chat_stream("tide-gone", "canned stream"),
        json!({"stream_options": {"include_usage": true}}),
    );
    let (response, stream) = ask_stream(&asked);
    assert_label(&response, None, None, "canned");
    assert!(
        response
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    );
    assert_eq!(stream.text(), CANNED);
    assert_eq!(stream.usages().len(), 1);
    assert!(stream.done);
}

#[test]
fn completions_have_a_canned_response_and_embeddings_have_none() {
    let asked = json!({"model": "tide-gone", "prompt": "canned completion"});
    let response = SHARED.send(&post("/v1/completions", asked.to_string()));
    assert_eq!(response.json()["choices"][0]["text"], CANNED);
    let streamed = SHARED.send(&post(
        "/v1/completions",
        with(asked, json!({"stream": true})).to_string(),
    ));
    assert_eq!(Stream::parse(streamed.text()).text(), CANNED);
    let asked = json!({"model": "tide-gone", "input": "no vector stands for nothing"});
    assert_eq!(SHARED.send(&post("/v1/embeddings", asked.to_string())).status, 502);
}

#[test]
fn a_client_can_refuse_lower_tiers() {
    fail(&["eu-1", "eu-2", "small-1"], "how low may it go");
    let ask_down_to = |tier: &str| {
        let body = chat("tide-large", "how low may it go").to_string();
        SHARED.send(&post_chat(body).header("x-tidegate-lowest-tier", tier))
    };
    assert_eq!(ask_down_to("canned").status, 200);
    assert_eq!(ask_down_to("tide-small").status, 503);
    let asked_before = SHARED.engine("small-1").requests("how low may it go").len();
    assert_eq!(ask_down_to("tide-large").status, 503);
    assert_eq!(
        SHARED.engine("small-1").requests("how low may it go").len(),
        asked_before
    );
    assert_error(
        &ask_down_to("tide-solo"),
        invalid_request(400, None, Some("unknown_tier")),
    );
}

#[test]
fn a_request_that_is_wrong_for_one_tier_is_not_sent_to_the_next() {
    let marker = "wrong for every tier";
    for replica in ["eu-1", "eu-2"] {
        SHARED.engine(replica).fault(marker, Fault::Status(400));
    }
    assert_eq!(ask(&chat("tide-large", marker)).status, 400);
    assert!(
        SHARED.engine("small-1").requests(marker).is_empty(),
        "the next tier was asked"
    );
}

#[test]
fn a_hanging_tier_is_left_behind_within_the_deadline() {
    for replica in ["eu-1", "eu-2"] {
        SHARED.engine(replica).fault("the big one hangs", Fault::Hang);
    }
    let response = ask(&chat("tide-large", "the big one hangs"));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_label(&response, Some("small"), Some("tide-small"), "1");
}

#[test]
fn a_committed_stream_is_labelled_in_a_comment() {
    for replica in ["eu-1", "eu-2"] {
        SHARED.engine(replica).fault("committed, then down", Fault::Hang);
    }
    let (response, stream) = ask_stream(&chat_stream("tide-large", "committed, then down"));
    assert_eq!(response.header("x-tidegate-tier"), None);
    let label = stream.comments.iter().find(|comment| comment.starts_with("tidegate "));
    let served_by = "tidegate cache=bypass cluster=small model=tide-small tier=1 prompt_tokens=";
    let tokens = label.and_then(|label| label.strip_prefix(served_by));
    assert!(
        tokens.is_some_and(|tokens| tokens.contains(";estimated replica=") && tokens.ends_with(" cached_tokens=0")),
        "{label:?}"
    );
    assert!(stream.done && !stream.text().is_empty(), "{stream:?}");
}

#[test]
fn a_committed_stream_falls_down_to_the_canned_response() {
    for replica in ["eu-1", "eu-2", "small-1"] {
        SHARED.engine(replica).fault("committed, then nothing", Fault::Hang);
    }
    let (_, stream) = ask_stream(&chat_stream("tide-large", "committed, then nothing"));
    let label = stream.comments.iter().find(|comment| comment.starts_with("tidegate "));
    assert_eq!(
        label.map(String::as_str),
        Some("tidegate cache=bypass tier=canned canned=overload")
    );
    assert_eq!((stream.text().as_str(), stream.done), (CANNED, true));
}

fn fail(replicas: &[&str], marker: &str) {
    for replica in replicas {
        SHARED.engine(replica).fault(marker, Fault::Status(503));
    }
}

#[track_caller]
fn assert_label(response: &Response, cluster: Option<&str>, model: Option<&str>, tier: &str) {
    assert_eq!(response.header("x-tidegate-cluster"), cluster);
    assert_eq!(response.header("x-tidegate-model"), model);
    assert_eq!(response.header("x-tidegate-tier"), Some(tier));
}
