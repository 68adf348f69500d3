//! A whole answer that was kept, given again: whole, or as the stream that an engine would have sent. Every value is as it
//! was written, texts cut into pieces where that splits no character and no escape; only the id is new, and when the answer
//! was made.
//!
//! A stream has first what is no text, then what was thought, said and called, in pieces, and at last why it ends. The log
//! probabilities of a text come with all of it, in one piece.

use bytes::Bytes;

use super::stream_end::write_end;
use super::usage::read_usage;
use crate::api::answer::Usage;
use crate::api::endpoint::Endpoint;
use crate::api::json_cursor::{JsonCursor, string};
use crate::api::json_edits::Edits;
use crate::api::json_fields::Fields;
use crate::api::request::{Generation, quoted};
use crate::api::sse::data_event;
use crate::ids::RequestId;
use crate::time::Timestamp;

/// The answer to `request`; `None` where `body` is none.
pub fn replayed(body: &Bytes, request: &Generation, id: &RequestId, now: Timestamp) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    let answer = Fields::parse(text).ok()?;
    let id = answer.get("id").map(|before| new_id(before, id));
    let created = now.as_secs().to_string();
    if !request.stream {
        let mut edits = Edits::new(text);
        for (name, new) in [("id", id), ("created", Some(created))] {
            if let (Some(before), Some(new)) = (answer.get(name), new) {
                edits.replace(before, new);
            }
        }
        return Some(edits.apply().into());
    }
    let mut replay = Replay {
        envelope: envelope(&answer, id.as_deref(), &created),
        usage: if request.include_usage { ",\"usage\":null" } else { "" },
        first: rest(&answer, &ENVELOPE),
        out: Vec::with_capacity(2 * body.len()),
    };
    for choice in elements(answer.get("choices")?) {
        match request.endpoint {
            Endpoint::Chat => replay.chat(&Fields::parse(choice).ok()?)?,
            Endpoint::Completions => replay.completion(&Fields::parse(choice).ok()?),
            Endpoint::Embeddings => return None,
        }
    }
    if request.include_usage
        && let Some(usage) = answer.get("usage")
    {
        let last = format!("{},\"choices\":[],\"usage\":{usage}}}", replay.envelope);
        data_event(&last, &mut replay.out);
    }
    write_end(&mut replay.out);
    Some(replay.out.into())
}

/// What a whole answer took, if it may be kept.
pub fn kept(body: &[u8], request: &Generation, is_bounded: bool) -> Option<Usage> {
    let answer = Fields::parse(std::str::from_utf8(body).ok()?).ok()?;
    let choices = elements(answer.get("choices")?);
    let ends_well = |choice: &&str| {
        let choice = Fields::parse(choice).ok();
        let reason = choice.and_then(|choice| choice.get("finish_reason").map(str::to_owned));
        match reason.as_deref() {
            Some("\"stop\"" | "\"tool_calls\"" | "\"function_call\"") => true,
            Some("\"length\"") => !is_bounded,
            _ => false,
        }
    };
    let is_all = choices.len() as u64 == request.choices.saturating_mul(request.prompts());
    let is_kept = is_all && choices.iter().all(ends_well);
    is_kept.then(|| answer.get("usage").and_then(read_usage).unwrap_or_default())
}

/// A stream that is written.
struct Replay {
    /// What every chunk begins with.
    envelope: String,
    /// What every chunk but the last says of the usage.
    usage: &'static str,
    /// Members that the first chunk alone has.
    first: String,
    out: Vec<u8>,
}

impl Replay {
    fn chunk(&mut self, choice: &str) {
        let first = std::mem::take(&mut self.first);
        let chunk = [&self.envelope, &first, ",\"choices\":[{", choice, "}]", self.usage, "}"].concat();
        // JSON may have line ends between its tokens.
        data_event(&chunk.replace(['\n', '\r'], " "), &mut self.out);
    }

    fn chat(&mut self, choice: &Fields<'_>) -> Option<()> {
        let index = choice.get("index").unwrap_or("0");
        let message = Fields::parse(choice.get("message")?).ok()?;
        let logprobs = choice.given("logprobs");
        let delta = |delta: &str, logprobs: &str| {
            format!("\"index\":{index},\"delta\":{{{delta}}},\"logprobs\":{logprobs},\"finish_reason\":null")
        };
        self.chunk(&delta(&first_delta(&message), NULL));
        let mut told = None;
        let mut texts: Vec<_> = message.iter().filter(|(name, value)| is_text(name, value)).collect();
        texts.sort_by_key(|(name, _)| turn(name));
        for (name, value) in texts {
            let is_told = name == "content" || name == "refusal";
            let logprobs = logprobs.filter(|_| is_told && told.is_none());
            if let Some(logprobs) = logprobs {
                told = Some(logprobs);
                self.chunk(&delta(&member(name, value), logprobs));
                continue;
            }
            for piece in pieces(value) {
                self.chunk(&delta(&member(name, &["\"", piece, "\""].concat()), NULL));
            }
        }
        let calls = message.get("tool_calls").map(elements).unwrap_or_default();
        for (at, call) in calls.into_iter().enumerate() {
            for piece in call_pieces(at, call) {
                self.chunk(&delta(&format!("\"tool_calls\":[{piece}]"), NULL));
            }
        }
        let untold = logprobs.filter(|_| told.is_none()).unwrap_or(NULL);
        let reason = choice.get("finish_reason").unwrap_or(NULL);
        let more = rest(choice, &["index", "message", "delta", "logprobs", "finish_reason"]);
        self.chunk(&format!(
            "\"index\":{index},\"delta\":{{}},\"logprobs\":{untold},\"finish_reason\":{reason}{more}"
        ));
        Some(())
    }

    fn completion(&mut self, choice: &Fields<'_>) {
        let index = choice.get("index").unwrap_or("0");
        let text = choice.get("text").unwrap_or(EMPTY);
        let said = |text: &str, logprobs: &str| {
            format!("\"index\":{index},\"text\":{text},\"logprobs\":{logprobs},\"finish_reason\":null")
        };
        match choice.given("logprobs") {
            Some(logprobs) => self.chunk(&said(text, logprobs)),
            None => {
                for piece in pieces(text) {
                    self.chunk(&said(&["\"", piece, "\""].concat(), NULL));
                }
            }
        }
        let reason = choice.get("finish_reason").unwrap_or(NULL);
        let more = rest(choice, &["index", "text", "logprobs", "finish_reason"]);
        self.chunk(&format!(
            "\"index\":{index},\"text\":\"\",\"logprobs\":null,\"finish_reason\":{reason}{more}"
        ));
    }
}

/// An id of the same sort as the one before.
fn new_id(before: &str, id: &RequestId) -> String {
    let before = string(before).unwrap_or_default();
    let sort = before.split_once('-').map(|(sort, _)| sort);
    let sort = sort.filter(|sort| sort.len() <= LONGEST_SORT && sort.bytes().all(|byte| byte.is_ascii_alphabetic()));
    match sort {
        Some(sort) => quoted(&format!("{sort}-{}", id.as_str())),
        None => quoted(id.as_str()),
    }
}

/// What all chunks of a stream begin with, up to their choices.
fn envelope(answer: &Fields<'_>, id: Option<&str>, created: &str) -> String {
    let mut members = Vec::new();
    for (name, value) in answer.iter() {
        let value = match name {
            "id" => id.unwrap_or(value).to_owned(),
            "created" => created.to_owned(),
            "object" if value == "\"chat.completion\"" => "\"chat.completion.chunk\"".to_owned(),
            "object" | "model" | "system_fingerprint" | "service_tier" => value.to_owned(),
            _ => continue,
        };
        members.push(member(name, &value));
    }
    if members.is_empty() {
        members.push(member("object", "\"chat.completion.chunk\""));
    }
    ["{", &members.join(",")].concat()
}

/// All members but those of these names, each behind a comma.
fn rest(fields: &Fields<'_>, names: &[&str]) -> String {
    let others = fields.iter().filter(|(name, _)| !names.contains(name));
    others
        .map(|(name, value)| [",", &member(name, value)].concat())
        .collect()
}

/// Whose turn it is, and all of a message that is no text.
fn first_delta(message: &Fields<'_>) -> String {
    let has_calls = message
        .get("tool_calls")
        .is_some_and(|calls| !elements(calls).is_empty());
    let mut members = Vec::new();
    for (name, value) in message.iter() {
        if name == "content" && is_text(name, value) {
            members.push(member(name, EMPTY));
        } else if !is_text(name, value) && (name != "tool_calls" || !has_calls) {
            members.push(member(name, value));
        }
    }
    members.join(",")
}

/// Whether a member of a message is a text that grows as it is said.
fn is_text(name: &str, value: &str) -> bool {
    name != "role" && value.starts_with('"') && value != EMPTY
}

/// When a text of a message has its turn: what was thought, under whatever name, before what is said.
fn turn(name: &str) -> u8 {
    match name {
        "content" => 1,
        "refusal" => 2,
        _ => 0,
    }
}

/// A call as it grows: all but its arguments first.
fn call_pieces(at: usize, call: &str) -> Vec<String> {
    let function = Fields::parse(call).ok().and_then(|call| call.get("function"));
    let arguments = function.and_then(|function| Fields::parse(function).ok()?.get("arguments"));
    let arguments = arguments.filter(|json| is_text("arguments", json));
    let mut edits = Edits::new(call);
    if let Some(arguments) = arguments {
        edits.replace(arguments, EMPTY);
    }
    let has_index = Fields::parse(call).is_ok_and(|call| call.get("index").is_some());
    let begun = edits.apply();
    let begun = match begun.trim_start().strip_prefix('{') {
        Some(members) if !has_index => {
            let comma = if members.trim_start().starts_with('}') { "" } else { "," };
            format!("{{\"index\":{at}{comma}{members}")
        }
        _ => begun,
    };
    let more = arguments.map(pieces).unwrap_or_default().into_iter();
    let more = more.map(|piece| format!("{{\"index\":{at},\"function\":{{\"arguments\":\"{piece}\"}}}}"));
    std::iter::once(begun).chain(more).collect()
}

fn member(name: &str, value: &str) -> String {
    [&quoted(name), ":", value].concat()
}

/// The elements of an array as they are written; none of what is no array.
fn elements(json: &str) -> Vec<&str> {
    let mut cursor = JsonCursor::new(json);
    let mut elements = Vec::new();
    if cursor.enter(b'[') {
        while cursor.next() {
            elements.push(cursor.pass());
        }
    }
    elements
}

/// A JSON string in pieces, each of which stands between quotes again: no character, no escape and no pair of surrogates is
/// split.
fn pieces(json: &str) -> Vec<&str> {
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    let bytes = inner.as_bytes();
    let (mut pieces, mut begin, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        at += unit_length(&bytes[at..]);
        if at - begin >= PIECE_BYTES {
            pieces.push(inner.get(begin..at).unwrap_or_default());
            begin = at;
        }
    }
    if begin < inner.len() {
        pieces.push(inner.get(begin..).unwrap_or_default());
    }
    pieces
}

/// How long what must not be split is.
fn unit_length(bytes: &[u8]) -> usize {
    let length = match bytes {
        [
            b'\\',
            b'u',
            b'd' | b'D',
            b'8' | b'9' | b'a' | b'b' | b'A' | b'B',
            _,
            _,
            b'\\',
            b'u',
            ..,
        ] => 12,
        [b'\\', b'u', ..] => 6,
        [b'\\', ..] => 2,
        [first, ..] if *first >= 0xF0 => 4,
        [first, ..] if *first >= 0xE0 => 3,
        [first, ..] if *first >= 0xC0 => 2,
        _ => 1,
    };
    length.min(bytes.len())
}

/// Members of an answer that every chunk of it has, or none.
const ENVELOPE: [&str; 8] = [
    "id",
    "object",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
    "choices",
    "usage",
];
const NULL: &str = "null";
const EMPTY: &str = "\"\"";
/// About a sentence: many times as much as an engine sends at once, so that there are fewer envelopes.
const PIECE_BYTES: usize = 192;
/// `chatcmpl` and the like.
const LONGEST_SORT: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{AnswerAssembler, Decoder, Dialect};

    fn request(endpoint: Endpoint, stream: bool) -> Generation {
        let body = json!({
            "model": "m", "messages": [{"role": "user", "content": "a"}], "prompt": "a", "stream": stream,
            "stream_options": if stream { json!({"include_usage": true}) } else { Value::Null },
        });
        Dialect::decode(endpoint, body.to_string().into(), 32).unwrap()
    }

    fn id() -> RequestId {
        RequestId::from_random(1, 2)
    }

    fn replay(endpoint: Endpoint, stream: bool, body: &str) -> String {
        let now = Timestamp::from_millis(5_000);
        let replayed = replayed(&body.to_owned().into(), &request(endpoint, stream), &id(), now);
        String::from_utf8(replayed.expect("an answer").to_vec()).unwrap()
    }

    /// What a client makes of a stream.
    fn accumulated(stream: &str) -> Value {
        let mut assembler: AnswerAssembler = Dialect::OpenAi.assembler(1 << 20);
        assembler.push(stream.as_bytes()).unwrap();
        serde_json::from_slice(&assembler.finish().unwrap()).unwrap()
    }

    /// The same without what is new in it.
    fn without_id(mut answer: Value) -> Value {
        answer["id"] = Value::Null;
        answer["created"] = Value::Null;
        answer
    }

    const ANSWER: &str = r#"{"id":"chatcmpl-1", "object":"chat.completion","created":1,"model":"m","x":{"a":[1.50]},
        "choices":[{"index":0,"message":{"role":"assistant","reasoning":"so \ud83d\ude00\ud83d","content":null,"refusal":null,"tool_calls":[
        {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},
        "logprobs":null,"finish_reason":"tool_calls","stop_reason":7},
        {"index":1,"message":{"role":"assistant","content":"h\u00e9 é","refusal":null},"logprobs":{"content":[{"token":"hé é","logprob":-0.10,"bytes":null,"top_logprobs":[]}]},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7},"system_fingerprint":"fp"}"#;

    #[test]
    fn a_whole_answer_has_a_new_id_and_time_and_every_other_byte() {
        let whole = replay(Endpoint::Chat, false, ANSWER);
        let id = format!("\"chatcmpl-{}\"", id().as_str());
        let expected = ANSWER
            .replacen("\"chatcmpl-1\"", &id, 1)
            .replacen("\"created\":1,", "\"created\":5,", 1);
        assert_eq!(whole, expected);
    }

    #[test]
    fn a_stream_says_the_same_with_escapes_as_they_were() {
        let stream = replay(Endpoint::Chat, true, ANSWER);
        for (written, times) in [
            (r"so \ud83d\ude00\ud83d", 1),
            (r"h\u00e9 é", 1),
            ("-0.10", 1),
            ("1.50", 1),
            ("[DONE]", 1),
        ] {
            assert_eq!(stream.matches(written).count(), times, "{written}: {stream}");
        }
        assert!(stream.ends_with("data: [DONE]\n\n"));
        let mut decoder = Decoder::new(1 << 20);
        decoder.push(stream.as_bytes());
        let mut ids = Vec::new();
        while let Ok(Some(event)) = decoder.next_event() {
            if let Ok(chunk) = serde_json::from_slice::<Value>(&event.data) {
                assert_eq!(
                    (&chunk["object"], &chunk["created"]),
                    (&json!("chat.completion.chunk"), &json!(5))
                );
                ids.push(chunk["id"].clone());
            }
        }
        ids.dedup();
        assert_eq!(ids.len(), 1);
        let well_formed = ANSWER.replace(r"\ude00\ud83d", r"\ude00");
        let stream = replay(Endpoint::Chat, true, &well_formed);
        let expected: Value = serde_json::from_str(&well_formed).unwrap();
        assert_eq!(without_id(accumulated(&stream)), without_id(expected));
    }

    #[test]
    fn what_was_thought_comes_before_what_is_said_and_called() {
        let message = r#"{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}],"refusal":"no","content":"said","reasoning":"thought"}"#;
        let answer =
            format!(r#"{{"id":"chatcmpl-1","choices":[{{"index":0,"message":{message},"finish_reason":"stop"}}]}}"#);
        let stream = replay(Endpoint::Chat, true, &answer);
        let at = |part: &str| stream.find(part).unwrap_or_else(|| panic!("{part}: {stream}"));
        let order = ["thought", "said", "\"refusal\":\"no\"", "\"name\":\"f\""].map(at);
        assert!(order.is_sorted(), "{order:?} {stream}");
    }

    #[test]
    fn completions_are_replayed_too() {
        let answer = json!({
            "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
            "choices": [
                {"index": 0, "text": "é".repeat(300), "logprobs": null, "finish_reason": "length", "stop_reason": null},
                {"index": 1, "text": "b", "logprobs": {"tokens": ["b"], "token_logprobs": [-1.0]}, "finish_reason": "stop"},
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        });
        let stream = replay(Endpoint::Completions, true, &answer.to_string());
        assert_eq!(without_id(accumulated(&stream)), without_id(answer));
        assert!(stream.matches("data: ").count() > 6, "{stream}");
    }

    #[test]
    fn what_did_not_come_to_its_own_end_is_not_kept() {
        let answer = |reasons: &[&str]| {
            let choices: Vec<_> = reasons.iter().map(|reason| json!({"finish_reason": reason})).collect();
            json!({"choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).to_string()
        };
        let is_kept =
            |reasons: &[&str], bounded| kept(answer(reasons).as_bytes(), &request(Endpoint::Chat, false), bounded);
        let usage = Some(Usage {
            prompt_tokens: 3,
            cached_tokens: None,
            completion_tokens: 4,
        });
        for (reasons, bounded, expected) in [
            (&["stop"][..], true, usage),
            (&["tool_calls"], true, usage),
            (&["length"], false, usage),
            (&["length"], true, None),
            (&["content_filter"], false, None),
            (&["other"], false, None),
            (&["stop", "stop"], false, None),
            (&[], false, None),
        ] {
            assert_eq!(is_kept(reasons, bounded), expected, "{reasons:?}");
        }
        assert_eq!(kept(b"[]", &request(Endpoint::Chat, false), false), None);
    }

    #[test]
    fn strings_are_cut_between_characters_and_escapes_only() {
        let long = format!("\"{}\"", r"\ud83d\ude00é\n\\\u00e9".repeat(100));
        let cut = pieces(&long);
        assert!(cut.len() > 5);
        for piece in &cut {
            assert!(string(&format!("\"{piece}\"")).is_some(), "{piece}");
        }
        assert_eq!(format!("\"{}\"", cut.concat()), long);
        assert!(pieces(EMPTY).is_empty());
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["(?s).{0,12}", "[a-zé\u{1F600}\"\\\\\n]{100,400}"]
    }

    proptest! {
        #[test]
        fn a_client_makes_the_same_of_a_stream(
            texts in prop::collection::vec((text(), prop::option::of(text()), prop::collection::vec(text(), 0..3)), 1..4),
            ascii in any::<bool>(),
        ) {
            let choices: Vec<_> = texts.iter().enumerate().map(|(index, (content, reasoning, calls))| {
                let mut message = json!({"role": "assistant", "content": content, "refusal": null});
                if let Some(reasoning) = reasoning {
                    message["reasoning_content"] = json!(reasoning);
                }
                if !calls.is_empty() {
                    let call = |arguments| json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}});
                    message["tool_calls"] = calls.iter().map(call).collect();
                }
                // What says something otherwise has no empty text beside it, in a stream as in a whole answer.
                let says_otherwise = !calls.is_empty() || reasoning.as_ref().is_some_and(|text| !text.is_empty());
                if content.is_empty() && says_otherwise {
                    message["content"] = Value::Null;
                }
                json!({"index": index, "message": message, "logprobs": null, "finish_reason": "stop"})
            }).collect();
            let answer = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": {"prompt_tokens": 1}});
            let mut body = answer.to_string();
            if ascii {
                body = body.replace('é', "\\u00e9").replace('\u{1F600}', "\\ud83d\\uDE00");
            }
            let stream = replay(Endpoint::Chat, true, &body);
            prop_assert_eq!(without_id(accumulated(&stream)), without_id(answer));
        }
    }
}
