//! Which cluster and which replica serve: near before far, allowed before near, room before both.

use serde_json::{Value, json};
use tidegate_tests::engine::Fault;
use tidegate_tests::http::{Request, Response};
use tidegate_tests::world::key;

use crate::support::{
    Expected, SHARED, ask, ask_away, assert_error, chat, chat_stream, eventually, open_stream, post_chat, with,
};

#[test]
fn the_nearest_cluster_serves() {
    // The configuration names the far one first.
    assert_eq!(served_by(&ask(&chat("tide-global", "near"))), "eu");
}

#[test]
fn the_nearest_cluster_is_another_one_from_another_place() {
    let response = ask_away("tide-global", "near to here");
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("x-tidegate-cluster"), Some("us"));
}

#[test]
fn a_tenant_that_is_kept_to_a_jurisdiction_is_served_there() {
    let response = ask_as("us-only", &chat("tide-global", "kept to the us"));
    assert_eq!(served_by(&response), "us");
}

#[test]
fn failing_over_ends_at_the_tenants_jurisdiction() {
    for replica in ["eu-1", "eu-2"] {
        SHARED.engine(replica).fault("eu is down", Fault::Status(503));
    }
    assert_eq!(served_by(&ask(&chat("tide-global", "eu is down, says everyone"))), "us");
    for body in [
        chat("tide-global", "eu is down, says eu-only"),
        chat_stream("tide-global", "eu is down, says eu-only"),
    ] {
        assert_eq!(ask_as("eu-only", &body).status, 503);
    }
    assert!(
        SHARED.engine("us-1").requests("eu is down, says eu-only").is_empty(),
        "data left the jurisdiction"
    );
}

#[test]
fn a_model_that_is_served_elsewhere_only_is_forbidden() {
    let response = ask_as("us-only", &chat("tide-solo", "not over there"));
    let expected = Expected {
        status: 403,
        kind: "permission_error",
        param: Some("model"),
        code: Some("jurisdiction"),
    };
    assert_error(&response, expected);
    assert!(
        SHARED.engine("solo-1").requests("not over there").is_empty(),
        "data left the jurisdiction"
    );
}

#[test]
fn a_conversation_stays_with_its_replica_where_its_prefix_is_warm() {
    let opening = "the opening of a conversation ".repeat(20);
    let mut messages = vec![
        json!({"role": "system", "content": "You are brief."}),
        json!({"role": "user", "content": opening}),
    ];
    let mut usage = Value::Null;
    for turn in 0..6 {
        let answer = ask(&json!({"model": "tide-pair", "messages": messages, "max_tokens": 4}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        usage = answer.json()["usage"].clone();
        messages.push(answer.json()["choices"][0]["message"].clone());
        messages.push(json!({"role": "user", "content": format!("turn {turn}")}));
    }
    let requests = |replica| SHARED.engine(replica).requests("the opening of a conversation").len();
    let mut shares = ["eu-1", "eu-2"].map(requests);
    shares.sort_unstable();
    assert_eq!(shares, [0, 6], "all turns at one replica");
    let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
    assert!(
        cached.is_some_and(|tokens| tokens > 100),
        "the last turn found its prefix warm: {usage}"
    );
}

#[test]
fn conversations_spread_over_replicas() {
    for number in 0..24 {
        assert_eq!(ask(&chat("tide-pair", &format!("spread number {number}"))).status, 200);
    }
    let shares = ["eu-1", "eu-2"].map(|replica| SHARED.engine(replica).requests("spread number").len());
    // Each is below 3 of 24 with a probability under 1 in 20,000; the hash is the same in every run.
    assert!(shares.iter().all(|share| *share >= 3), "{shares:?}");
}

#[test]
fn a_full_cluster_passes_requests_to_the_next_and_then_refuses() {
    for replica in ["tight-eu-1", "tight-us-1"] {
        SHARED.engine(replica).fault("takes its time", Fault::Stall(2));
    }
    let slow = with(chat_stream("tide-tight", "takes its time"), json!({"max_tokens": 64}));
    let first = open_stream(&slow);
    assert_eq!(first.header("x-tidegate-cluster"), Some("tight-eu"));
    let second = open_stream(&slow);
    assert_eq!(second.header("x-tidegate-cluster"), Some("tight-us"));
    let refused = ask(&chat("tide-tight", "one too many"));
    assert_error(
        &refused,
        Expected {
            status: 503,
            kind: "server_error",
            param: None,
            code: Some("overloaded"),
        },
    );
    drop((first, second));
    eventually("the room is free again", || {
        let response = ask(&chat("tide-tight", "room again"));
        response.status == 200 && served_by(&response) == "tight-eu"
    });
}

fn served_by(response: &Response) -> &str {
    assert_eq!(response.status, 200, "{}", response.text());
    response.header("x-tidegate-cluster").expect("the cluster is told")
}

fn ask_as(tenant: &str, body: &Value) -> Response {
    let request: Request = post_chat(body.to_string()).key(&key(tenant));
    SHARED.send(&request)
}
