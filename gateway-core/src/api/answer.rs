//! What is read of an engine's answer, and how it is edited on its way to the client: the model's public name, no
//! usage for clients that did not ask, reasons to finish that clients know.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use super::json::Edits;
use super::output_delta::{OutputDelta, SingleDelta};
use super::request::quoted;
use super::templated_chunk::{ChunkTemplate, TemplatedChunk};

/// Tokens that an engine reports to have read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "UsageJson")]
pub struct Usage {
    /// Read, those found in its prefix cache included.
    pub prompt_tokens: u64,
    /// Of those, found in its prefix cache, as far as it tells.
    pub cached_tokens: u64,
    /// Written, over all choices.
    pub completion_tokens: u64,
}

#[derive(Deserialize)]
struct UsageJson {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

/// More tokens than any request can take.
#[derive(Debug, Error)]
#[error("no request takes so many tokens")]
struct Incredible;

impl TryFrom<UsageJson> for Usage {
    type Error = Incredible;

    fn try_from(json: UsageJson) -> Result<Self, Incredible> {
        if json.prompt_tokens.max(json.completion_tokens) > MOST_TOKENS {
            return Err(Incredible);
        }
        let cached = json.prompt_tokens_details.and_then(|details| details.cached_tokens);
        Ok(Self {
            prompt_tokens: json.prompt_tokens,
            cached_tokens: cached.unwrap_or(0).min(json.prompt_tokens),
            completion_tokens: json.completion_tokens,
        })
    }
}

/// How one answer, whole or in chunks, is edited.
#[derive(Clone, Debug)]
pub struct AnswerRewriter {
    /// The model's public name as a JSON string.
    model: String,
    /// Whether the usage stays in a stream's chunks.
    keep_usage: bool,
    /// The stream's last chunk that was read in full.
    last: Option<ChunkTemplate>,
}

/// A whole answer, or one chunk of a stream, as the client is to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewrittenAnswer<'a> {
    /// The JSON; `None` for a chunk that is only about usage that the client did not ask for.
    pub json: Option<Cow<'a, str>>,
    /// The usage that it carried.
    pub usage: Option<Usage>,
    /// What the model says in it, one entry for each of the answers that it is about.
    pub deltas: Vec<OutputDelta<'a>>,
}

/// What came is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// An error, reported inside what should have been an answer.
    #[error("the engine reported an error")]
    Error,
    /// Not a JSON object.
    #[error("not a JSON object")]
    NotJson,
}

impl AnswerRewriter {
    /// A rewriter that names the model `model`. Whole answers always keep their usage.
    pub fn new(model: &str, keep_usage: bool) -> Self {
        Self {
            model: quoted(model),
            keep_usage,
            last: None,
        }
    }

    /// Edits a whole answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn whole<'a>(&self, text: &'a str) -> Result<RewrittenAnswer<'a>, NoAnswer> {
        let parsed = ParsedAnswer::of(text)?;
        Ok(RewrittenAnswer {
            json: Some(edited(text, &self.edits(text, &parsed, true))),
            usage: parsed.usage(),
            deltas: parsed.deltas(),
        })
    }

    /// The next chunk of a stream, if it is like the last that was read in full: most are.
    pub fn alike<'c>(&self, chunk: &'c [u8]) -> Option<TemplatedChunk<'_, 'c>> {
        self.last.as_ref()?.of(chunk)
    }

    /// Edits the next chunk of a stream, reading it in full.
    ///
    /// # Errors
    /// When it is none.
    pub fn chunk<'a>(&mut self, text: &'a str) -> Result<RewrittenAnswer<'a>, NoAnswer> {
        let parsed = ParsedAnswer::of(text)?;
        let usage = parsed.usage();
        if !self.keep_usage && usage.is_some() && parsed.choices().is_empty() {
            return Ok(RewrittenAnswer {
                json: None,
                usage,
                deltas: Vec::new(),
            });
        }
        let edits = self.edits(text, &parsed, self.keep_usage);
        let json = Some(edited(text, &edits));
        self.last = parsed
            .single()
            .and_then(|single| ChunkTemplate::new(&edits, single, usage));
        Ok(RewrittenAnswer {
            json,
            usage,
            deltas: parsed.deltas(),
        })
    }

    fn edits<'a>(&'a self, text: &'a str, parsed: &ParsedAnswer<'_>, keep_usage: bool) -> Edits<'a> {
        let mut edits = Edits::new(text);
        if let Some(model) = parsed.model.filter(|model| model.get() != self.model) {
            edits.replace(model, self.model.as_str());
        }
        if let Some(usage) = parsed.usage.filter(|_| !keep_usage) {
            edits.remove("usage", usage);
        }
        for reason in parsed.choices().iter().filter_map(|choice| choice.finish_reason) {
            if let Some(known) = known_reason(reason.get()) {
                edits.replace(reason, known);
            }
        }
        edits
    }
}

/// Whether `body` is an error in the API's shape.
pub(super) fn has_error_object(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Shape<'a> {
        #[serde(borrow)]
        error: &'a RawValue,
    }
    std::str::from_utf8(body)
        .ok()
        .and_then(|text| serde_json::from_str::<Shape<'_>>(text).ok())
        .is_some_and(|shape| shape.error.get().starts_with('{'))
}

/// What is read of an answer; everything else passes.
#[derive(Deserialize)]
struct ParsedAnswer<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    model: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "message")]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    finish_reason: Option<&'a RawValue>,
}

impl<'a> ParsedAnswer<'a> {
    fn of(text: &'a str) -> Result<Self, NoAnswer> {
        // serde would read a struct from an array as well.
        if !text.trim_start().starts_with('{') {
            return Err(NoAnswer::NotJson);
        }
        let parsed: Self = serde_json::from_str(text).map_err(|_| NoAnswer::NotJson)?;
        if parsed.error.is_some_and(is_truthy) {
            return Err(NoAnswer::Error);
        }
        Ok(parsed)
    }

    fn usage(&self) -> Option<Usage> {
        serde_json::from_str::<Option<Usage>>(self.usage?.get()).ok().flatten()
    }

    fn choices(&self) -> &[Choice<'a>] {
        self.choices.as_deref().unwrap_or_default()
    }

    fn deltas(&self) -> Vec<OutputDelta<'a>> {
        self.choices().iter().map(Choice::delta).collect()
    }

    /// The one text that the engine has written since the last chunk, where there is just one.
    fn single(&self) -> Option<SingleDelta<'a>> {
        match self.choices() {
            [choice] => choice.delta().single(),
            _ => None,
        }
    }
}

/// `text` with the edits made.
fn edited<'a>(text: &'a str, edits: &Edits<'_>) -> Cow<'a, str> {
    if edits.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(edits.apply())
    }
}

impl<'a> Choice<'a> {
    fn delta(&self) -> OutputDelta<'a> {
        OutputDelta::Choice {
            index: self.index.map(RawValue::get),
            message: self.delta.map(RawValue::get),
            text: self.text.map(RawValue::get),
        }
    }
}

/// A value that is there, also when it is null: it may have to be edited.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn is_truthy(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "false" | "0" | "\"\"")
}

/// The reason that clients know for one that an engine made up; `None` where it can stay.
fn known_reason(reason: &str) -> Option<&'static str> {
    match reason.trim_matches('"') {
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" | "null" => None,
        // TGI's and others' words for the answer's bound.
        "max_tokens" | "max_length" | "model_length" => Some("\"length\""),
        "tool_call" | "tool_use" => Some("\"tool_calls\""),
        // `eos_token`, `stop_sequence`, `end_turn`, `abort` and what will come.
        _ => Some("\"stop\""),
    }
}

/// A thousand answers of a million tokens. An engine that reports more is not believed: its report counts as missing.
const MOST_TOKENS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::OutputChannel;

    fn chunk(keep_usage: bool, text: &str) -> (Option<String>, Option<Usage>) {
        let mut rewriter = AnswerRewriter::new("public", keep_usage);
        let answer = rewriter.chunk(text).unwrap();
        (answer.json.map(Cow::into_owned), answer.usage)
    }

    #[test]
    fn the_model_gets_its_public_name_and_all_else_stays() {
        let text =
            r#"{"id":"x", "model":"served","choices":[{"delta":{"model":"served"},"finish_reason":null}],"n":1.0}"#;
        assert_eq!(
            chunk(false, text).0.unwrap(),
            text.replacen("\"served\"", "\"public\"", 1)
        );
    }

    #[test]
    fn usage_is_for_those_who_asked() {
        let usage = Some(Usage {
            prompt_tokens: 3,
            cached_tokens: 0,
            completion_tokens: 4,
        });
        let last = r#"{"model":"public","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        assert_eq!(chunk(true, last), (Some(last.to_owned()), usage));
        assert_eq!(chunk(false, last), (None, usage));
        let cached = r#"{"model":"public","usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":7}}}"#;
        assert_eq!(chunk(false, cached).1.map(|usage| usage.cached_tokens), Some(7));
        let null = r#"{"model":"public","choices":[{}],"usage":null}"#;
        assert_eq!(chunk(true, null), (Some(null.to_owned()), None));
        assert_eq!(
            chunk(false, null),
            (Some(r#"{"model":"public","choices":[{}]}"#.to_owned()), None)
        );
        let beside = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        assert_eq!(
            chunk(false, beside),
            (Some(r#"{"choices":[{"delta":{}}]}"#.to_owned()), usage)
        );
    }

    #[test]
    fn reasons_to_finish_are_those_that_clients_know() {
        for (reason, seen) in [
            ("\"eos_token\"", "\"stop\""),
            ("\"model_length\"", "\"length\""),
            ("\"length\"", "\"length\""),
        ] {
            let text = format!(r#"{{"choices":[{{"finish_reason":{reason}}}]}}"#);
            assert_eq!(
                chunk(false, &text).0.unwrap(),
                format!(r#"{{"choices":[{{"finish_reason":{seen}}}]}}"#)
            );
        }
    }

    #[test]
    fn errors_and_garbage_are_no_answers() {
        let mut rewriter = AnswerRewriter::new("public", false);
        assert_eq!(
            rewriter.chunk(r#"{"error":{"message":"out of memory"}}"#),
            Err(NoAnswer::Error)
        );
        assert_eq!(rewriter.chunk(r#"{"error":"boom"}"#), Err(NoAnswer::Error));
        assert!(rewriter.chunk(r#"{"error":null,"choices":[]}"#).is_ok());
        for garbage in ["", "hello", "[1]", "{\"a\":", "\"x\"", "{\"choices\":7}"] {
            assert_eq!(rewriter.whole(garbage), Err(NoAnswer::NotJson), "{garbage}");
        }
    }

    /// What a client sees of a chunk, and all that it tells.
    type SeenChunk = (Option<String>, Option<Usage>, Vec<(OutputChannel, String)>);

    /// The next chunk, edited the short way or the long.
    fn next(rewriter: &mut AnswerRewriter, chunk: &str) -> Result<SeenChunk, NoAnswer> {
        let (json, usage, deltas) = match rewriter.alike(chunk.as_bytes()) {
            Some(alike) => {
                let mut event = Vec::new();
                alike.write_event(&mut event);
                let event = String::from_utf8(event).unwrap();
                let data = event
                    .strip_prefix("data: ")
                    .and_then(|event| event.strip_suffix("\n\n"));
                (data.map(str::to_owned), alike.usage(), vec![alike.delta()])
            }
            None => {
                let answer = rewriter.chunk(chunk)?;
                (answer.json.map(Cow::into_owned), answer.usage, answer.deltas)
            }
        };
        let mut texts = Vec::new();
        for delta in deltas {
            delta.each(|channel, text| texts.push((channel, text.to_owned())));
        }
        texts.retain(|(_, text)| !text.is_empty());
        Ok((json, usage, texts))
    }

    /// One of the chunks that a stream may hold, and now and then one that is no JSON.
    fn any_chunk() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            "[a-c ]{0,2}".prop_map(|text| quoted(&text)),
            "(?s).{0,2}".prop_map(|text| quoted(&text)),
            prop::sample::select(vec!["null", "7", "\"a", "\"a\" \"", "\"\\x\"", "\"a\",\"b\":\"c\""])
                .prop_map(str::to_owned),
        ];
        let model = prop::sample::select(vec!["public", "served"]);
        let role = prop::sample::select(vec!["", "\"role\":\"assistant\", "]);
        let choice = prop::sample::select(vec!["\"delta\":{ROLE\"content\":TEXT}", "\"text\":TEXT"]);
        let reason = prop::sample::select(vec!["", ",\"finish_reason\":null", ",\"finish_reason\":\"eos_token\""]);
        let usage = prop::sample::select(vec![
            "",
            ",\"usage\":null",
            ",\"usage\":{\"prompt_tokens\":3}",
            ",\"error\":1",
        ]);
        (text, model, role, choice, reason, usage).prop_map(|(text, model, role, choice, reason, usage)| {
            let choice = choice.replace("ROLE", role).replace("TEXT", &text);
            format!("{{\"model\":\"{model}\",\"choices\":[{{{choice}{reason}}}]{usage}}}")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn chunks_that_are_alike_are_edited_as_if_each_came_alone(
            keep_usage in any::<bool>(),
            chunks in prop::collection::vec((any_chunk(), 1..3_usize), 1..6),
        ) {
            let mut rewriter = AnswerRewriter::new("public", keep_usage);
            for chunk in chunks.iter().flat_map(|(chunk, times)| std::iter::repeat_n(chunk, *times)) {
                let mut fresh = AnswerRewriter::new("public", keep_usage);
                prop_assert_eq!(next(&mut rewriter, chunk), next(&mut fresh, chunk), "{}", chunk);
            }
        }
    }

    #[test]
    fn a_chunk_like_the_last_one_is_not_read_again() {
        let chunk = |text: &str| format!(r#"{{"choices":[{{"delta":{{"content":{text}}}}}],"usage":null}}"#);
        let mut rewriter = AnswerRewriter::new("public", false);
        assert!(rewriter.chunk(&chunk("\"a\"")).is_ok());
        let (like, other) = (chunk("\"\\n\""), chunk("\"b\"").replace("null", "7"));
        let mut event = Vec::new();
        rewriter.alike(like.as_bytes()).expect("alike").write_event(&mut event);
        let expected = "data: {\"choices\":[{\"delta\":{\"content\":\"\\n\"}}]}\n\n";
        assert_eq!(String::from_utf8(event).unwrap(), expected);
        assert!(rewriter.alike(other.as_bytes()).is_none());
        assert!(
            rewriter
                .alike(&like.replace("\\n", "\u{e9}").into_bytes()[..40])
                .is_none()
        );
        assert!(rewriter.chunk(&chunk("\"a\"").replace(',', "\n,")).is_ok());
        assert!(rewriter.last.is_none(), "a chunk of several lines is no template");
    }
}
