//! Requests within requests: what one server takes for a body and another for a request of its own. Whatever comes before
//! it, no request that stands inside another reaches an engine, and none is served by another's key.

use std::thread;

use tidegate_tests::http::raw::{answers, statuses};
use tidegate_tests::world::key;

use super::{ATTACK, SILENCE, assert_neighbour_is_served, assert_nothing_is_left_behind, is_native, post};
use crate::support::chat;

#[test]
fn no_request_within_another_is_answered() {
    if !is_native(OTHER_SERVERS) {
        return;
    }
    thread::scope(|scope| {
        for variant in VARIANTS {
            scope.spawn(move || assert_held(variant));
        }
    });
    let reached = ATTACK.engine("calm").requests("smuggled");
    assert!(reached.is_empty(), "{reached:?}");
    assert_nothing_is_left_behind(&ATTACK);
}

/// `SMUGGLED` stands for a request with a key, `CHUNK` for the same as a chunk, `LENGTH` for its length.
fn assert_held((head, body): (&str, &str)) {
    let smuggled = post("neighbour", &chat("calm", "smuggled")).to_bytes("gateway");
    let smuggled = String::from_utf8(smuggled).expect("text");
    let chunk = format!("{:x}\r\n{smuggled}\r\n", smuggled.len());
    let wire = format!("{head}\r\n\r\n{body}")
        .replace("START", "POST /v1/models HTTP/1.1\r\nhost: gateway")
        .replace("LENGTH", &smuggled.len().to_string())
        .replace("LONG", &"x".repeat(100 << 10))
        .replace("CHUNK", &chunk)
        .replace("SMUGGLED", &smuggled);
    let answers = answers(ATTACK.gateway.address(), wire.as_bytes(), SILENCE);
    assert!(
        statuses(&answers).iter().all(|status| *status >= 400),
        "{head:?}: {answers}"
    );
    assert!(!answers.contains(&key("neighbour")[3..]), "{head:?}: {answers}");
    assert_neighbour_is_served(&ATTACK);
}

#[test]
fn a_request_behind_another_is_judged_by_itself() {
    if !is_native(OTHER_SERVERS) {
        return;
    }
    let with_key = format!("authorization: Bearer {}", key("neighbour"));
    let without_key = "GET /v1/models HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    for (first, expected) in [
        (
            "GET /v1/models HTTP/1.1\r\nhost: gateway\r\nKEY\r\n\r\n",
            vec![200, 401],
        ),
        (
            "GET http://10.0.0.1/v1/models HTTP/1.1\r\nhost: gateway\r\nKEY\r\n\r\n",
            vec![200, 401],
        ),
        (
            "GET /v1/models HTTP/1.0\r\nconnection: keep-alive\r\nKEY\r\n\r\n",
            vec![200, 401],
        ),
        ("GET /v1/models HTTP/1.0\r\nKEY\r\n\r\n", vec![200]),
        (
            "GET /v1/models HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nKEY\r\n\r\n",
            vec![200, 401],
        ),
        (
            "GET /v1/models HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: websocket\r\nKEY\r\n\r\n",
            vec![200, 401],
        ),
        (
            "CONNECT 10.0.0.1:80 HTTP/1.1\r\nhost: gateway\r\nKEY\r\n\r\n",
            vec![404, 401],
        ),
        (
            "TRACE /v1/models HTTP/1.1\r\nhost: gateway\r\nKEY\r\n\r\n",
            vec![405, 401],
        ),
        ("OPTIONS * HTTP/1.1\r\nhost: gateway\r\nKEY\r\n\r\n", vec![404, 401]),
    ] {
        let wire = format!("{}{without_key}", first.replace("KEY", &with_key));
        let answers = answers(ATTACK.gateway.address(), wire.as_bytes(), SILENCE);
        assert_eq!(statuses(&answers), expected, "{first:?}: {answers}");
    }
}

const OTHER_SERVERS: &str = "the runtime's own server reads requests, and hands on what it took for one";

/// A head, and what stands behind it.
const VARIANTS: [(&str, &str); 38] = [
    // Both lengths, in both orders, and hidden from one reader or the other.
    (
        "START\r\ncontent-length: 5\r\ntransfer-encoding: chunked",
        "0\r\n\r\nSMUGGLED",
    ),
    (
        "START\r\ntransfer-encoding: chunked\r\ncontent-length: 4",
        "CHUNK0\r\n\r\n",
    ),
    (
        "START\r\ncontent-length: 5\r\ntransfer-encoding:\tchunked",
        "0\r\n\r\nSMUGGLED",
    ),
    (
        "START\r\ncontent-length: 5\r\ntransfer-encoding : chunked",
        "0\r\n\r\nSMUGGLED",
    ),
    (
        "START\r\ncontent-length: 5\r\n transfer-encoding: chunked",
        "0\r\n\r\nSMUGGLED",
    ),
    (
        "START\r\ncontent-length: 5\r\nx: y\r\n\ttransfer-encoding: chunked",
        "0\r\n\r\nSMUGGLED",
    ),
    (
        "START\r\ncontent-length: 5\r\nx: y\rtransfer-encoding: chunked",
        "0\r\n\r\nSMUGGLED",
    ),
    (
        "START\r\ncontent-length: 5\r\nx: y\ntransfer-encoding: chunked",
        "0\r\n\r\nSMUGGLED",
    ),
    ("START\r\ntransfer-encoding:\r\n chunked", "0\r\n\r\nSMUGGLED"),
    // Codings that are not, or not only, chunks.
    (
        "START\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity",
        "0\r\n\r\nSMUGGLED",
    ),
    (
        "START\r\ntransfer-encoding: identity\r\ntransfer-encoding: chunked",
        "0\r\n\r\nSMUGGLED",
    ),
    ("START\r\ntransfer-encoding: chunked, identity", "0\r\n\r\nSMUGGLED"),
    ("START\r\ntransfer-encoding: identity, chunked", "0\r\n\r\nSMUGGLED"),
    ("START\r\ntransfer-encoding: chunked, chunked", "0\r\n\r\nSMUGGLED"),
    ("START\r\ntransfer-encoding: xchunked", "0\r\n\r\nSMUGGLED"),
    ("START\r\ntransfer-encoding: \"chunked\"", "0\r\n\r\nSMUGGLED"),
    ("START\r\ntransfer-encoding: \u{b}chunked", "0\r\n\r\nSMUGGLED"),
    (
        "POST /v1/models HTTP/1.0\r\ntransfer-encoding: chunked",
        "0\r\n\r\nSMUGGLED",
    ),
    // Lengths that are read in two ways.
    ("START\r\ncontent-length: 0\r\ncontent-length: LENGTH", "SMUGGLED"),
    ("START\r\ncontent-length: 0, LENGTH", "SMUGGLED"),
    ("START\r\ncontent-length: -1", "SMUGGLED"),
    ("START\r\ncontent-length: +0", "SMUGGLED"),
    ("START\r\ncontent-length: 0x0", "SMUGGLED"),
    ("START\r\ncontent-length: 0 0", "SMUGGLED"),
    ("START\r\ncontent-length: 18446744073709551616", "SMUGGLED"),
    ("START\r\ncontent-length:", "SMUGGLED"),
    // Chunks that are read in two ways.
    ("START\r\ntransfer-encoding: chunked", "10000000000000000\r\nSMUGGLED"),
    ("START\r\ntransfer-encoding: chunked", "-1\r\nSMUGGLED"),
    ("START\r\ntransfer-encoding: chunked", "0x0\r\n\r\nSMUGGLED"),
    ("START\r\ntransfer-encoding: chunked", "0;x\n\nSMUGGLED"),
    (
        "START\r\ntransfer-encoding: chunked",
        "1;\rx\r\naa\r\n0\r\n\r\nSMUGGLED",
    ),
    ("START\r\ntransfer-encoding: chunked", "1\r\na0\r\n\r\nSMUGGLED"),
    // Heads that are none.
    ("GET /v1/models", "SMUGGLED"),
    ("POST /v1/models HTTP/1.1 HTTP/1.1\r\nhost: gateway", "SMUGGLED"),
    ("START\r\nhost: other", "SMUGGLED"),
    ("START\r\nx: \0", "SMUGGLED"),
    ("START\r\nx: LONG", "SMUGGLED"),
    // A body that nobody has asked for yet.
    ("START\r\nexpect: 100-continue\r\ncontent-length: LENGTH", "SMUGGLED"),
];
