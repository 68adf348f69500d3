//! Which cluster and which replica serve: near before far, allowed before near, room before both.

use serde_json::{Value, json};
use tidegate_tests::engine::Fault;
use tidegate_tests::http::{Request, Response};
use tidegate_tests::world::key;

use crate::support::{
    AWAY, Expected, SHARED, ask, ask_away, assert_error, chat, chat_stream, eventually, open_stream, post_chat, with,
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
fn a_proxy_that_is_trusted_says_where_a_request_came_in() {
    for (place, cluster) in [("FRA", "eu"), ("52.5,13.4", "eu"), ("37.8,-122.4", "us")] {
        let body = chat("tide-global", &format!("from {place}")).to_string();
        let response = post_chat(body)
            .header("x-edge-location", place)
            .send(AWAY.gateway.address());
        assert_eq!(response.header("x-tidegate-cluster"), Some(cluster), "{place}");
    }
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
fn conversations_spread_over_replicas_and_each_stays_where_its_prefix_is_warm() {
    const CONVERSATIONS: usize = 24;
    let openings: Vec<String> = (0..CONVERSATIONS)
        .map(|number| format!("opening {number} of a talk, ").repeat(20))
        .collect();
    let mut usages = Vec::new();
    for opening in &openings {
        let user = |text: &str| json!({"role": "user", "content": text});
        let first = ask(&json!({"model": "tide-calm", "messages": [user(opening)], "max_tokens": 4})).json();
        let messages = json!([user(opening), first["choices"][0]["message"], user("and then?")]);
        let second = ask(&json!({"model": "tide-calm", "messages": messages, "max_tokens": 4})).json();
        usages.push(second["usage"].clone());
    }
    let requests_at = |replica: &str, opening: &str| SHARED.engine(replica).requests(opening).len();
    let mut conversations_at = [0, 0];
    for opening in &openings {
        match ["calm-1", "calm-2"].map(|replica| requests_at(replica, opening)) {
            [2, 0] => conversations_at[0] += 1,
            [0, 2] => conversations_at[1] += 1,
            split => panic!("both turns go to one replica: {split:?}"),
        }
    }
    // By chance fewer than 3 of 24 fall to one of them less often than once in 25,000 runs.
    assert!(conversations_at.iter().all(|share| *share >= 3), "{conversations_at:?}");
    for usage in usages {
        let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
        assert!(
            cached.is_some_and(|tokens| tokens > 100),
            "the second turn found its prefix warm: {usage}"
        );
    }
}

#[test]
fn a_session_that_its_client_names_stays_on_one_replica_and_sessions_spread() {
    const SESSIONS: usize = 20;
    let mut sessions_at = [0, 0];
    for session in 0..SESSIONS {
        let by_body = json!({"prompt_cache_key": format!("session-{session}")});
        for text in ["begins", "goes on", "ends"] {
            let text = format!("{text} in session {session} by its key");
            assert_eq!(ask(&with(chat("tide-calm", &text), by_body.clone())).status, 200);
        }
        for (header, text) in [("x-session-id", "begins"), ("session-id", "goes on")] {
            let body = chat("tide-calm", &format!("{text} in session {session} by its header")).to_string();
            let request = post_chat(body).header(header, &format!("session-{session}"));
            assert_eq!(SHARED.send(&request).status, 200);
        }
        let requests_at = |replica: &str| {
            SHARED
                .engine(replica)
                .requests(&format!("in session {session} by"))
                .len()
        };
        match ["calm-1", "calm-2"].map(requests_at) {
            [5, 0] => sessions_at[0] += 1,
            [0, 5] => sessions_at[1] += 1,
            split => panic!("all of session {session} goes to one replica: {split:?}"),
        }
    }
    // By chance all 20 fall to one of them once in 500,000 sets of addresses.
    assert!(sessions_at.iter().all(|share| *share > 0), "{sessions_at:?}");
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
