//! What is refused before a body is read, and what bodies may take of the gateway's memory, on every runtime.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_tests::http::{Exchange, Request, Response, connect};
use tidegate_tests::world::key;

use crate::budgets::{BUDGETS, ask, assert_limited, on, send};
use crate::support::eventually;

/// A connection on which a request has come with so many bytes of its body, and not the rest.
fn half(tenant: &str, bytes: usize) -> TcpStream {
    let request = Request::post("/v1/completions", vec![b' '; bytes])
        .key(&key(tenant))
        .replace("content-length", &(bytes + 10).to_string());
    let mut connection = connect(BUDGETS.gateway.address());
    connection
        .write_all(&request.to_bytes("gateway"))
        .expect("half a request is sent");
    connection
}

fn tokenize(tenant: &str) -> Response {
    let body = json!({"model": "scripted", "prompt": "the tide comes in"}).to_string();
    BUDGETS.send(&Request::post("/tokenize", body).key(&key(tenant)))
}

#[test]
fn who_has_nothing_left_is_told_so_before_the_body_is_there() {
    on("emptied", 90, 60);
    assert_eq!(send("emptied", &ask("emptied", 90, 10)).status, 200);
    eventually("the debt is known to all", || {
        send("emptied", &ask("emptied", 1, 1)).status == 429
    });
    let asked = Instant::now();
    let refused = Exchange::read(half("emptied", 100)).finish();
    assert_limited(&refused, "insufficient_quota");
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "nobody waits for the rest of the body: {:?}",
        asked.elapsed()
    );
}

#[test]
fn to_count_costs_a_request() {
    for _ in 0..2 {
        let counted = tokenize("counted");
        assert_eq!(counted.status, 200, "{}", counted.text());
    }
    assert_limited(&tokenize("counted"), "rate_limit_exceeded");
    assert_limited(&send("counted", &ask("counted", 1, 1)), "rate_limit_exceeded");
}

#[test]
fn what_is_refused_costs_a_request() {
    for _ in 0..2 {
        let refused = send("refused", &json!({"model": "none", "prompt": "a"}));
        assert_eq!(refused.status, 404, "{}", refused.text());
    }
    assert_limited(&send("refused", &ask("refused", 1, 1)), "rate_limit_exceeded");
}

#[test]
fn bodies_of_one_tenant_leave_memory_for_the_others() {
    on("neighbour", 10, 10);
    let mut begun = Vec::new();
    // Those that come while there is little room keep each other out, so that more are begun until what is there fills it.
    eventually("there is no room for more", || {
        begun.push(half("reading", 200_000));
        let refused = send("reading", &ask(&"x".repeat(200_000), 1, 1));
        let is_full = refused.status == 503;
        if is_full {
            assert_eq!(refused.json()["error"]["code"], "too_many_bodies");
            assert_eq!(refused.header("retry-after"), Some("1"));
        }
        is_full
    });
    assert_eq!(send("neighbour", &ask("neighbour", 10, 10)).status, 200);
    drop(begun);
    on("read again", 1, 1);
    eventually("there is room again", || {
        send("reading", &ask("read again", 1, 1)).status == 200
    });
}
