//! Any text as the messages of a chat: the walker, which goes through JSON without reading it, finds the messages that
//! serde_json finds, and how deep they nest.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidegate_core::api::{Dialect, Endpoint, RequestError, Role};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
}

fuzz_target!(|text: &str| {
    for written in [
        format!("[{text}]"),
        format!(r#"[{{"role":"assistant","content":{text}}},{{"role":"user"}},{{"role":"x"}}]"#),
    ] {
        let body = format!(r#"{{"model":"m","messages":{written}}}"#);
        // One with two lists of messages is refused for that.
        let Ok(read) = serde_json::from_str::<Body<'_>>(&body) else {
            continue;
        };
        // What closes the list goes on with other fields, which have mistakes of their own.
        if read.messages.get() != written {
            continue;
        }
        match Dialect::decode(Endpoint::Chat, Bytes::from(body.clone()), MOST_NESTING) {
            Ok(request) => {
                assert!(depth(&body) <= MOST_NESTING);
                let found: Vec<_> = request.messages().collect();
                assert_eq!(found, messages(read.messages).expect("it was taken"), "{body}");
            }
            Err(RequestError::TooDeep { .. }) => assert!(depth(&body) > MOST_NESTING, "{body}"),
            Err(RequestError::Duplicate { .. }) => {}
            Err(error) => assert_eq!(messages(read.messages), None, "{body}: {error}"),
        }
    }
});

/// The messages, each with whose it is; `None` where they are not what a chat takes.
fn messages(messages: &RawValue) -> Option<Vec<(&[u8], Role)>> {
    let messages: Vec<&RawValue> = serde_json::from_str(messages.get()).ok()?;
    let messages = messages.into_iter();
    let read: Vec<_> = messages
        .map(|message| Some((message.get().as_bytes(), role(message)?)))
        .collect::<Option<_>>()?;
    (!read.is_empty()).then_some(read)
}

/// The role in a message that has just one.
fn role(message: &RawValue) -> Option<Role> {
    #[derive(Deserialize)]
    struct Message {
        role: String,
    }
    // An array could stand for the struct, too.
    let object = Some(message.get()).filter(|json| json.starts_with('{'))?;
    let message: Message = serde_json::from_str(object).ok()?;
    Some(match message.role.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => Role::Other,
    })
}

/// How deep arrays and objects nest in `json`, which is JSON.
fn depth(json: &str) -> usize {
    let (mut depth, mut most, mut in_string, mut is_escaped) = (0, 0, false, false);
    for character in json.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => in_string = !in_string,
            '[' | '{' if !in_string => depth += 1,
            ']' | '}' if !in_string => depth -= 1,
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// Less than serde_json's own bound.
const MOST_NESTING: usize = 32;
