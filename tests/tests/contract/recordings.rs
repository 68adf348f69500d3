//! What real engines sent, replayed on every runtime: what a client hears is what the engine said, whole and streamed,
//! in however many pieces it comes.

use serde_json::json;
use tidegate_tests::http::Response;
use tidegate_tests::recording::{Recording, Said};
use tidegate_tests::scripted::Script;

use crate::support::{SHARED, post, scripted};

/// How the bytes of an answer come.
#[derive(Clone, Copy, Debug)]
enum Coming {
    AtOnce,
    ByteByByte,
    /// In so many pieces, a moment apart.
    InPieces(usize),
}

impl Coming {
    fn script(self, bytes: &[u8]) -> Script {
        match self {
            Self::AtOnce => Script::raw(bytes),
            Self::ByteByByte => bytes.chunks(1).fold(Script::default(), Script::then),
            Self::InPieces(count) => {
                let pieces = bytes.chunks(bytes.len() / count + 1);
                pieces.fold(Script::default(), |script, piece| script.then(piece).wait(2))
            }
        }
    }
}

/// The answer to a client that wants a stream or not, where the engine answers with the recording.
fn replay(recording: &Recording, coming: Coming, stream: bool) -> Response {
    let marker = format!("replay {} {coming:?} {stream};", recording.name);
    scripted().on(&marker, coming.script(&recording.bytes));
    let choices = recording.said().choices.len().max(1);
    let mut body = json!({"model": "tide-scripted", "user": marker, "max_tokens": 3_000, "n": choices});
    match recording.path() {
        "/v1/embeddings" => body = json!({"model": "tide-scripted", "user": marker, "input": "The sea"}),
        "/v1/completions" => body["prompt"] = json!("The sea is"),
        _ => body["messages"] = json!([{"role": "user", "content": "Why is the sea salty?"}]),
    }
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    SHARED.send(&post(recording.path(), body.to_string()))
}

/// Each recording, as it comes to each kind of client.
fn replays(is_wanted: fn(&Recording) -> bool) -> impl Iterator<Item = (Recording, Coming, bool)> {
    let wanted = Recording::all().into_iter().filter(is_wanted);
    wanted.flat_map(|recording| {
        let ways = [
            Coming::AtOnce,
            Coming::ByteByByte,
            Coming::InPieces(7),
            Coming::InPieces(40),
        ];
        ways.into_iter().flat_map(move |coming| {
            // Some proxies answer whole though a stream was asked for, none the other way round.
            let clients = if recording.is_stream() {
                &[true, false][..]
            } else {
                &[false]
            };
            let recording = recording.clone();
            clients.iter().map(move |stream| (recording.clone(), coming, *stream))
        })
    })
}

fn is_answer(recording: &Recording) -> bool {
    recording.status() == 200
}

/// Whether the engine gave up in the middle, or went without a word.
fn is_broken_off(recording: &Recording) -> bool {
    let said = recording.said();
    let reasons = || {
        said.choices
            .values()
            .filter_map(|choice| choice.finish_reason.as_deref())
    };
    let gave_up = said.error.is_some() || reasons().any(|reason| matches!(reason, "abort" | "error"));
    let ended = reasons().next().is_some() || recording.body().ends_with(b"data: [DONE]\n\n");
    gave_up || !ended
}

/// What would be wrong at any other replica too. A name of a model that the engine does not know is the operator's mistake.
fn is_clients_mistake(recording: &Recording) -> bool {
    recording.case() != "error-model" && matches!(recording.status(), 400 | 404 | 413 | 415 | 422 | 501)
}

/// The reason to finish as OpenAI's clients know it.
fn openai_s(reason: &str) -> &str {
    match reason {
        "eos_token" | "stop_sequence" => "stop",
        other => other,
    }
}

/// What is wrong with the answers to each kind of client, all of it at once.
#[track_caller]
fn assert_right(is_wanted: fn(&Recording) -> bool, wrong: fn(&Recording, &Response, bool) -> Option<String>) {
    let problems = replays(is_wanted).filter_map(|(recording, coming, stream)| {
        let response = replay(&recording, coming, stream);
        let wrong = wrong(&recording, &response, stream)?;
        let name = &recording.name;
        Some(format!(
            "{name}, {coming:?}, streamed: {stream}: {wrong}\n  {}",
            response.text()
        ))
    });
    let problems: Vec<_> = problems.collect();
    assert!(
        problems.is_empty(),
        "{} wrong:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn a_client_hears_what_the_engine_said() {
    assert_right(
        |recording| is_answer(recording) && !is_broken_off(recording),
        |recording, response, stream| {
            let (heard, mut said) = (Said::of(&response.body), recording.said());
            for choice in said.choices.values_mut() {
                choice.finish_reason = choice.finish_reason.as_deref().map(openai_s).map(str::to_owned);
            }
            if said.usage.is_none() {
                // The gateway tells what it counted.
                said.usage = heard.usage;
            }
            let is_whole = response.text().contains("data: [DONE]") == stream;
            (heard != said || !is_whole).then(|| format!("{said:?}\n  heard as {heard:?}"))
        },
    );
}

#[test]
fn an_answer_that_the_engine_broke_off_is_not_told_as_complete() {
    assert_right(
        |recording| is_answer(recording) && is_broken_off(recording),
        |_, response, stream| {
            let is_told = Said::of(&response.body).error.is_some() && (stream || response.status >= 400);
            (!is_told || response.text().contains("[DONE]")).then(|| format!("{} as if complete", response.status))
        },
    );
}

#[test]
fn a_client_s_mistake_is_told_in_the_engine_s_words() {
    assert_right(is_clients_mistake, |recording, response, stream| {
        let heard = Said::of(&response.body).error.unwrap_or_default();
        let said = recording.said().error.unwrap_or_default();
        // Longer ones are shortened; an endpoint that is not there is told in the gateway's own words.
        let said: String = said.chars().take(80).collect();
        let is_told = heard.contains(&said) || recording.path() == "/v1/embeddings";
        // Where a machine is slow, the stream is opened before the engine has said all of it.
        let is_open = stream && response.status == 200 && response.text().starts_with(": waiting for an engine");
        let is_right = is_told && !heard.is_empty() && ((400..500).contains(&response.status) || is_open);
        (!is_right).then(|| format!("{} {heard:?} for {said:?}", response.status))
    });
}
