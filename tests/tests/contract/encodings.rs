//! Request bodies that are compressed: read, within the bound on what they grow to, or refused by the coding's name.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::json;
use tidegate_tests::http::{Request, Response};
use tidegate_tests::scripted::Script;
use tidegate_tests::world::key;

use crate::support::{SHARED, asking_for_a_stream, assert_error, chat, invalid_request, scripted, with};

#[test]
fn a_compressed_body_reaches_the_engine_as_it_was_before() {
    scripted().on("compressed-body", Script::json(ANSWER));
    let asked = with(
        chat("tide-scripted", "compressed-body"),
        json!({"user": "tide ".repeat(2_000)}),
    );
    let text = asked.to_string();
    let expected = text.replacen("\"tide-scripted\"", "\"scripted-upstream-name\"", 1);
    let body = text.as_bytes();
    let expected = asking_for_a_stream(&expected);
    let mut sent = 0;
    for (coding, coded) in [
        ("gzip", gzip(body)),
        ("GZIP", gzip(body)),
        ("deflate", zlib(body)),
        ("deflate", raw_deflate(body)),
        ("zstd", compress_to_vec(body, CompressionLevel::Fastest)),
        ("br", stored_brotli(body)),
        ("identity", body.to_vec()),
    ] {
        let response = post(coding, coded);
        assert_eq!(response.status, 200, "{coding}: {}", response.text());
        sent += 1;
        let seen = scripted().seen("compressed-body");
        assert_eq!(seen.len(), sent, "{coding}");
        assert_eq!(seen[sent - 1].body_without_salt(), expected, "{coding}");
        assert!(
            !seen[sent - 1].head.contains("content-encoding"),
            "{}",
            seen[sent - 1].head
        );
    }
}

#[test]
fn a_body_of_parts_without_end_is_refused() {
    let response = post("gzip", gzip(b"").repeat(2_000));
    assert_error(&response, invalid_request(400, None, Some("invalid_encoding")));
}

#[test]
fn a_body_that_grows_beyond_the_limit_is_refused_with_what_it_grew_to() {
    let bomb = vec![b' '; 64 << 20];
    for (coding, coded) in [
        ("gzip", gzip(&bomb)),
        ("deflate", zlib(&bomb)),
        ("zstd", compress_to_vec(bomb.as_slice(), CompressionLevel::Fastest)),
    ] {
        let response = post(coding, coded);
        assert_error(&response, invalid_request(413, None, Some("request_too_large")));
        assert!(
            response.text().contains("grew to more than") && response.text().contains("4194304"),
            "{coding}: {}",
            response.text()
        );
    }
}

#[test]
fn codings_that_are_not_read_are_named() {
    let body = gzip(chat("tide-solo", "hello").to_string().as_bytes());
    for (coding, named) in [
        ("compress", "compress"),
        ("gzip, gzip", "gzip, gzip"),
        ("br, gzip", "br, gzip"),
        ("aes128gcm", "aes128gcm"),
    ] {
        let response = post(coding, body.clone());
        assert_error(&response, invalid_request(415, None, Some("unsupported_encoding")));
        let told = response.json()["error"]["message"].to_string();
        assert!(told.contains(named) && told.contains("gzip, deflate"), "{told}");
    }
}

#[test]
fn a_body_that_is_not_coded_as_it_says_is_refused() {
    let body = chat("tide-solo", "hello").to_string();
    let cut = |coded: Vec<u8>| coded[..coded.len() / 2].to_vec();
    for (coding, wrong) in [
        ("gzip", body.clone().into_bytes()),
        ("gzip", cut(gzip(body.as_bytes()))),
        ("deflate", cut(zlib(body.as_bytes()))),
        ("zstd", body.clone().into_bytes()),
        ("br", cut(stored_brotli(body.as_bytes()))),
        ("gzip", Vec::new()),
    ] {
        let response = post(coding, wrong);
        assert_error(&response, invalid_request(400, None, Some("invalid_encoding")));
    }
}

fn post(coding: &str, body: Vec<u8>) -> Response {
    let request = Request::post("/v1/chat/completions", body).key(&key("everyone"));
    SHARED.send(&request.header("content-encoding", coding))
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn raw_deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Brotli's plainest form (RFC 7932, section 9.2): one meta-block without compression of at most 64 KiB, then an empty
/// last one.
fn stored_brotli(body: &[u8]) -> Vec<u8> {
    assert!(body.len() <= 1 << 16, "one meta-block of four nibbles");
    let [first, second, third, _] = ((body.len() - 1) << 4 | 1 << 20).to_le_bytes()[..4] else {
        panic!("four bytes")
    };
    [&[first, second, third], body, &[3]].concat()
}

const ANSWER: &str = r#"{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"text"},"finish_reason":"stop"}]}"#;
