//! Who may ask: keys, tenants and what is told to those without.

use std::process::Command;

use tidegate_tests::http::Request;
use tidegate_tests::runtime;
use tidegate_tests::world::{digest, key};

use crate::support::{SHARED, assert_error, chat, invalid_request};

#[test]
fn without_a_key_nothing_is_answered() {
    for request in [
        Request::get("/v1/models"),
        Request::get("/v1/models/tide-solo"),
        Request::post("/v1/chat/completions", chat("tide-solo", "no key").to_string()),
        Request::post("/v1/completions", "{}"),
        Request::post("/v1/embeddings", "not even JSON"),
    ] {
        assert_error(
            &SHARED.send(&request),
            invalid_request(401, None, Some("invalid_api_key")),
        );
    }
}

#[test]
fn a_wrong_key_is_as_good_as_none() {
    let right = key("everyone");
    let shortened = &right[..right.len() - 1];
    let lengthened = format!("{right}A");
    for value in [
        format!("Bearer {shortened}"),
        format!("Bearer {lengthened}"),
        format!("Bearer {}", key("nobody")),
        format!("Bearer {}", digest(&right)),
        format!("Basic {right}"),
        format!("Bearer {right} {right}"),
        "Bearer \u{e9}\u{1f30a}".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        right.clone(),
    ] {
        let request = Request::post("/v1/chat/completions", chat("tide-solo", "wrong key").to_string());
        let response = SHARED.send(&request.header("authorization", &value));
        assert_error(&response, invalid_request(401, None, Some("invalid_api_key")));
        assert!(
            !response.text().contains(&right[..20]),
            "a key is repeated: {}",
            response.text()
        );
    }
    assert!(
        SHARED.engine("solo-1").requests("wrong key").is_empty(),
        "the engine was asked"
    );
}

#[test]
fn two_keys_are_none() {
    let bearer = |name: &str| format!("Bearer {}", key(name));
    let models = Request::get("/v1/models").key(&key("everyone"));
    assert_eq!(SHARED.send(&models).status, 200);
    for other in [bearer("everyone"), bearer("nobody"), "Basic eDp5".to_owned()] {
        for (first, second) in [(&bearer("everyone"), &other), (&other, &bearer("everyone"))] {
            let request = Request::get("/v1/models").header("authorization", first);
            let response = SHARED.send(&request.header("authorization", second));
            assert_error(&response, invalid_request(401, None, Some("invalid_api_key")));
        }
    }
}

#[test]
fn keys_are_checked_before_bodies_are_read() {
    let request = Request::new("POST", "/v1/chat/completions")
        .header("content-type", "application/json")
        .header("content-length", "1000000");
    // No byte of the body is ever sent: an answer can only come from the head alone.
    assert_error(
        &SHARED.send(&request),
        invalid_request(401, None, Some("invalid_api_key")),
    );
}

#[test]
fn an_admin_key_is_no_api_key_and_the_other_way_round() {
    let response = SHARED.send(&Request::get("/v1/models").key(&key("admin")));
    assert_error(&response, invalid_request(401, None, Some("invalid_api_key")));
    let response = SHARED.send(&Request::get("/admin/config").key(&key("everyone")));
    assert_error(&response, invalid_request(401, None, Some("invalid_api_key")));
}

#[test]
fn keys_new_prints_a_key_and_the_digest_that_the_configuration_holds() {
    let output = Command::new(runtime::tidegate_binary())
        .args(["keys", "new", "--tenant", "harbour"])
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let is_key_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut words = text.split(|c: char| !is_key_part(c));
    let printed = words
        .find(|word| word.starts_with("tg-") && word.len() == 46)
        .expect("a key is printed");
    assert!(text.contains(&digest(printed)), "not the digest of {printed}: {text}");
}
