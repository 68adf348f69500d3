//! Any bytes as an engine's answer, whole and as a stream that is cut anywhere. What the model says reaches the client, no
//! byte of it lost or doubled; and a rewriter that knows the chunk before writes what one does that has seen none.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tidegate_core::api::{Decoder, Dialect, OutputDelta, SseEvent};
use tidegate_fuzz::pieces;

fuzz_target!(|bytes: &[u8]| {
    for keep_usage in [false, true] {
        whole(bytes, keep_usage);
        stream(bytes, keep_usage);
    }
});

fn whole(bytes: &[u8], keep_usage: bool) {
    let body = Bytes::copy_from_slice(bytes);
    let Ok(rewritten) = Dialect::default().rewriter("public", keep_usage).rewrite_whole(&body) else {
        return;
    };
    let (came, went) = (parsed(bytes), parsed(&rewritten.body));
    assert_eq!(came.map(|came| said(&came)), went.map(|went| said(&went)));
}

fn stream(bytes: &[u8], keep_usage: bool) {
    let mut decoder = Decoder::new(usize::MAX >> 1);
    let mut knowing = Dialect::default().rewriter("public", keep_usage);
    for piece in pieces(bytes) {
        decoder.push(piece);
        while let Some(event) = decoder.next_event().expect("there is room") {
            let (mut out, mut slow) = (Vec::new(), Vec::new());
            let outcome = knowing.rewrite_event(&event, &mut out);
            knowing.flush(&mut out);
            let mut new = Dialect::default().rewriter("public", keep_usage);
            let expected = new.rewrite_event(&event, &mut slow);
            new.flush(&mut slow);
            // Half of a character may wait for its other half.
            if std::str::from_utf8(&event.data).is_err() {
                continue;
            }
            assert_eq!(text(&out), text(&slow));
            match (outcome, expected) {
                (Ok(outcome), Ok(expected)) => {
                    assert_eq!(
                        (outcome.usage, outcome.is_end, spoken(&outcome.deltas)),
                        (expected.usage, expected.is_end, spoken(&expected.deltas))
                    );
                    if !outcome.is_end {
                        compare(&event, &out);
                    }
                }
                (outcome, expected) => assert_eq!(outcome.err(), expected.err()),
            }
        }
    }
}

/// The texts that are not empty.
fn spoken<'a>(deltas: &[OutputDelta<'a>]) -> Vec<OutputDelta<'a>> {
    deltas.iter().filter(|delta| delta.json != "\"\"").copied().collect()
}

/// What came says the same as what went.
fn compare(event: &SseEvent<'_>, out: &[u8]) {
    let mut decoder = Decoder::new(usize::MAX >> 1);
    decoder.push(out);
    let mut went = Vec::new();
    while let Some(event) = decoder.next_event().expect("there is room") {
        went.extend(parsed(&event.data).iter().flat_map(said));
    }
    let came = parsed(&event.data).iter().flat_map(said).collect::<Vec<_>>();
    assert_eq!(came, went);
}

fn parsed(json: &[u8]) -> Option<Value> {
    serde_json::from_slice(json).ok()
}

/// All texts in an answer's choices that are not empty, and where they stand.
fn said(answer: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let choices = answer["choices"].as_array().into_iter().flatten();
    for choice in choices {
        for name in ["delta", "message", "text"] {
            texts(&choice[name], name, &mut found);
        }
    }
    found
}

fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => found.push(format!("{at}: {text}")),
        Value::Array(items) => items.iter().for_each(|item| texts(item, at, found)),
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| texts(value, &format!("{at}.{name}"), found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
