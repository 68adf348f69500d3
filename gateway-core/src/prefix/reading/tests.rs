use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::{Dialect, Endpoint};
use crate::cluster::{Boundary, PromptOutline};
use crate::ids::{PrefixKey, Tokens};

fn boundaries_of(endpoint: Endpoint, body: &str, step: usize) -> Boundaries {
    let request = Dialect::decode(endpoint, Bytes::copy_from_slice(body.as_bytes()), 32).unwrap();
    let mut reading = Reading::new(&"m".into(), &request);
    while reading.go_on(step) {}
    reading.into_boundaries()
}

fn chat(messages: &[Value]) -> Boundaries {
    chat_with(messages, &json!({}))
}

fn chat_with(messages: &[Value], more: &Value) -> Boundaries {
    let mut body = more.clone();
    body["model"] = json!("m");
    body["messages"] = json!(messages);
    boundaries_of(Endpoint::Chat, &body.to_string(), 4_096)
}

fn flat(prompt: &Value) -> Boundaries {
    let body = json!({ "model": "m", "prompt": prompt });
    boundaries_of(Endpoint::Completions, &body.to_string(), 4_096)
}

fn message(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

/// A text of about so many tokens.
fn text(tokens: usize, word: &str) -> String {
    word.chars().cycle().take(4 * tokens).collect()
}

fn keys(boundaries: &Boundaries) -> Vec<PrefixKey> {
    boundaries.found.iter().map(|found| found.key).collect()
}

/// Of the boundaries that both have, how deep the deepest is in the second, in tokens of about four bytes.
fn shared(one: &Boundaries, other: &Boundaries) -> u64 {
    let keys = keys(one);
    let found = other.found.iter().rev().find(|found| keys.contains(&found.key));
    found.map_or(0, |found| found.at / 4)
}

fn never(_: PrefixKey) -> bool {
    false
}

#[test]
fn a_conversation_that_goes_on_shares_all_that_it_was() {
    let mut messages = vec![
        message("system", &text(3_000, "rules ")),
        message("user", &text(200, "q ")),
    ];
    let first = chat(&messages);
    assert_eq!(first.presumed(Tokens(1_000)), Tokens(0));
    messages.extend([message("assistant", &text(700, "a ")), message("user", "go on")]);
    let second = chat(&messages);
    assert_eq!(shared(&first, &second), first.length / 4);
    assert_eq!(second.affinity(never), first.affinity(never));
    let answered = second.found[second.found.len() - 2];
    assert_eq!(second.presumed(Tokens(second.length)), Tokens(answered.at));
}

#[test]
fn conversations_are_told_apart_where_they_differ() {
    let of = |system: &str, user: &str| chat(&[message("system", system), message("user", user)]);
    let rules = text(3_000, "rules ");
    let (one, other) = (of(&rules, &text(900, "a")), of(&rules, &text(900, "b")));
    assert!(
        (3_000..3_100).contains(&shared(&one, &other)),
        "{}",
        shared(&one, &other)
    );
    // They have the system's message in common, and are told apart by the user's where that draws too much.
    let common = one.affinity(never).unwrap();
    assert_eq!(other.affinity(never), Some(common));
    let is_hot = |key| key == common;
    assert_ne!(one.affinity(is_hot), other.affinity(is_hot));
    assert_eq!(
        one.affinity(|_| true),
        other.found.last().map(|_| one.found.last().unwrap().key)
    );
    // What is shorter does not choose by itself.
    let short = |user: &str| of("Be brief.", user).affinity(never);
    assert_ne!(short("a"), short("b"));
    assert_eq!(short("a"), short("a"));
}

#[test]
fn a_short_first_turn_chooses_for_all_that_follow() {
    let mut messages = vec![message("system", "Be brief."), message("user", "hi")];
    let first = chat(&messages).affinity(never);
    for _ in 0..60 {
        messages.extend([message("assistant", &text(300, "a ")), message("user", "and?")]);
        assert_eq!(chat(&messages).affinity(never), first);
    }
}

#[test]
fn what_shapes_a_prompt_is_part_of_all_its_keys() {
    let messages = [message("user", "hi")];
    let plain = chat(&messages);
    assert_eq!(keys(&plain).len(), 1);
    for more in [
        json!({ "tools": [{ "type": "function" }] }),
        json!({ "documents": ["a"] }),
        json!({ "chat_template_kwargs": { "enable_thinking": false } }),
        json!({ "reasoning_effort": "low" }),
        json!({ "cache_salt": "s" }),
    ] {
        let other = chat_with(&messages, &more);
        assert_ne!(keys(&other).last(), keys(&plain).last(), "{more}");
    }
    for more in [
        json!({ "tools": null }),
        json!({ "temperature": 1, "stream": true, "response_format": { "type": "json_object" } }),
    ] {
        assert_eq!(keys(&chat_with(&messages, &more)), keys(&plain), "{more}");
    }
    let of_model = |name: &str| {
        let body = Bytes::from_static(br#"{"model":"m","messages":[{"role":"user"}]}"#);
        let request = Dialect::decode(Endpoint::Chat, body, 32).unwrap();
        let mut reading = Reading::new(&name.into(), &request);
        while reading.go_on(1) {}
        keys(&reading.into_boundaries())
    };
    assert_ne!(of_model("m"), of_model("m2"));
}

#[test]
fn flat_prompts_share_what_they_begin_with() {
    let beginning = text(5_000, "once upon a time ");
    let (one, other) = (
        flat(&json!(format!("{beginning}, A"))),
        flat(&json!(format!("{beginning}. B"))),
    );
    assert!(
        (4_700..=5_000).contains(&shared(&one, &other)),
        "{}",
        shared(&one, &other)
    );
    let mut known = Vec::new();
    for _ in 0..3 {
        known.extend(one.affinity(|key| known.contains(&key)));
    }
    // 512 tokens, 1,024 and 2,048.
    let places: Vec<_> = one.found.iter().filter(|found| known.contains(&found.key)).collect();
    assert_eq!(
        places.iter().map(|found| found.at / 4).collect::<Vec<_>>(),
        [512, 1_024, 2_048]
    );
    assert_eq!(
        flat(&json!("short")).affinity(never),
        Some(keys(&flat(&json!("short")))[0])
    );
    assert_eq!(flat(&json!("")).affinity(never), None);
    assert_eq!(flat(&json!([])).affinity(never), None);
}

#[test]
fn tokens_are_counted_as_they_are_however_they_are_written() {
    let tokens: Vec<u32> = (0..1_500).collect();
    let one = flat(&json!(tokens));
    let spaced = format!(
        "{{\"model\":\"m\",\"prompt\":[{}]}}",
        tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" , ")
    );
    assert_eq!(keys(&boundaries_of(Endpoint::Completions, &spaced, 64)), keys(&one));
    let counted: Vec<_> = one
        .with_total(Tokens(1_500))
        .iter()
        .map(|boundary| boundary.tokens.0)
        .collect();
    assert_eq!(counted, [256, 512, 768, 1_024, 1_280, 1_500]);
}

#[test]
fn of_several_prompts_the_first_one_counts_with_its_share() {
    let (one, two) = (text(600, "a"), text(600, "b"));
    let alone = flat(&json!(one));
    let both = flat(&json!([one, two]));
    assert_eq!(keys(&both), keys(&alone));
    let last = both.with_total(Tokens(1_200)).pop().unwrap();
    assert!((595..=600).contains(&last.tokens.0), "{last:?}");
}

#[test]
fn what_is_embedded_leaves_no_prefix() {
    let found = boundaries_of(Endpoint::Embeddings, r#"{"model":"m","input":"text"}"#, 64);
    assert_eq!((found.affinity(never), found.with_total(Tokens(9)).len()), (None, 0));
}

#[test]
fn a_total_of_few_tokens_leaves_boundaries_that_ascend() {
    let few = flat(&json!(text(4_000, "a"))).with_total(Tokens(3));
    let tokens: Vec<_> = few.iter().map(|boundary| boundary.tokens.0).collect();
    assert_eq!(tokens, [1, 2, 3]);
}

fn any_message() -> impl Strategy<Value = Value> {
    let role = prop_oneof![Just("user"), Just("assistant"), Just("tool")];
    let length = prop_oneof![0_usize..40, 0_usize..3_000, 0_usize..30_000];
    (role, length, "[a-z\\\\\"\u{e9} ]{1,9}").prop_map(|(role, length, word)| message(role, &text(length, &word)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_more_turn_leaves_older_boundaries_as_they_were(
        messages in prop::collection::vec(any_message(), 1..40),
        added in prop::collection::vec(any_message(), 1..5),
        steps in prop::array::uniform2(1_usize..9_000),
    ) {
        let body = |messages: &[Value]| json!({ "model": "m", "messages": messages }).to_string();
        let before = boundaries_of(Endpoint::Chat, &body(&messages), steps[0]);
        let after = boundaries_of(Endpoint::Chat, &body(&[messages, added].concat()), steps[1]);
        for boundaries in [&before, &after] {
            prop_assert!(boundaries.found.len() <= 64);
            let listed: Vec<Boundary> = boundaries.with_total(Tokens(boundaries.length));
            prop_assert!(listed.is_sorted_by(|a, b| a.tokens < b.tokens && a.key != b.key));
            prop_assert_eq!(listed.last().map(|last| last.tokens.0), Some(boundaries.length));
        }
        // What is told of the turn before is listed now, and of what is told now its whole.
        let outline = before.outline(Tokens(before.length));
        prop_assert!(outline.len() <= PromptOutline::MOST_BOUNDARIES);
        let listed = keys(&after);
        prop_assert!(outline.iter().filter(|told| listed.contains(&told.key)).count() >= outline.len().min(8));
        let told = after.outline(Tokens(after.length));
        prop_assert!(told.iter().any(|told| told.key == keys(&before)[before.found.len() - 1]));
        // Whatever was listed at a place has the key that it had.
        for found in &after.found {
            if let Ok(index) = before.found.binary_search_by_key(&found.at, |found| found.at) {
                prop_assert_eq!(before.found[index].key, found.key);
            }
        }
        // The whole of the turn before is found, and what chooses the replica chooses it again.
        prop_assert_eq!(shared(&before, &after), before.length / 4);
        prop_assert_eq!(before.affinity(never).is_some(), after.affinity(never).is_some());
    }
}
