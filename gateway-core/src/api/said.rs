//! What a model says, as it stands in answers and in chunks of them: read for counting, and read leniently, since
//! nothing that goes to the client depends on it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Text that belongs together: tokens reach over pieces of one strand, never from one to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strand {
    /// Which of several answers.
    pub choice: u64,
    /// Which part of it.
    pub part: Part,
}

/// Parts of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// What it says.
    #[default]
    Content,
    /// What the model thinks before.
    Reasoning,
    /// Calls of tools: names and arguments of functions.
    ToolCall,
}

/// One of the answers, or a piece of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// Which of several answers, as JSON.
    pub(super) index: Option<&'a RawJson>,
    /// A chat's message, or the piece that a chunk adds to it.
    pub(super) message: Option<&'a RawJson>,
    /// A completion's text.
    pub(super) text: Option<&'a RawJson>,
}

/// JSON as it was written.
pub(super) type RawJson = str;

impl Said<'_> {
    /// Hands out the texts in it.
    pub fn each(&self, mut on_text: impl FnMut(Strand, &str)) {
        let choice = self.index.and_then(|index| index.parse().ok()).unwrap_or_default();
        let mut on = |part, text: Option<Cow<'_, str>>| {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                on_text(Strand { choice, part }, &text);
            }
        };
        on(Part::Content, self.text.and_then(string));
        let plain = self.message.and_then(plain_content);
        if plain.is_some() {
            return on(Part::Content, plain.map(Cow::Borrowed));
        }
        let message = self
            .message
            .and_then(|json| serde_json::from_str::<Message<'_>>(json).ok());
        let Some(message) = message else { return };
        on(Part::Reasoning, raw(message.reasoning_content.or(message.reasoning)));
        on(Part::Content, raw(message.content));
        let calls = message.tool_calls.map(RawValue::get).unwrap_or_default();
        for call in serde_json::from_str::<Vec<Call<'_>>>(calls).unwrap_or_default() {
            let Some(function) = call.function else { continue };
            on(Part::ToolCall, function.name);
            on(Part::ToolCall, function.arguments);
        }
    }
}

/// The text of a message that holds a plain text and nothing else, as most pieces of a stream do: found without
/// parsing, for it is done with every token.
fn plain_content(message: &str) -> Option<&str> {
    let text = message.strip_prefix("{\"content\":\"")?.strip_suffix("\"}")?;
    memchr::memchr2(b'"', b'\\', text.as_bytes()).is_none().then_some(text)
}

fn raw(value: Option<&RawValue>) -> Option<Cow<'_, str>> {
    value.map(RawValue::get).and_then(string)
}

/// The text of a JSON string, borrowed unless it holds escapes.
fn string(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let is_string = json.starts_with('"');
    is_string
        .then(|| serde_json::from_str::<Text<'_>>(json).ok())?
        .map(|text| text.0)
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    /// vLLM's newer name for the same.
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(said: &Said<'_>) -> Vec<(u64, Part, String)> {
        let mut texts = Vec::new();
        said.each(|strand, text| texts.push((strand.choice, strand.part, text.to_owned())));
        texts
    }

    #[test]
    fn every_part_of_a_message_is_handed_out() {
        let said = Said {
            index: Some("2"),
            message: Some(
                r#"{"role":"assistant","reasoning":"hm","content":"a\nb","tool_calls":[{"index":0,"id":"x",
                "function":{"name":"f","arguments":"{\"a\":1}"}},{"function":{"arguments":""}}]}"#,
            ),
            text: None,
        };
        let expected = [
            (2, Part::Reasoning, "hm".to_owned()),
            (2, Part::Content, "a\nb".to_owned()),
            (2, Part::ToolCall, "f".to_owned()),
            (2, Part::ToolCall, "{\"a\":1}".to_owned()),
        ];
        assert_eq!(texts(&said), expected);
    }

    #[test]
    fn a_plain_piece_is_what_parsing_would_make_of_it() {
        for (message, expected) in [
            (r#"{"content":" tide"}"#, " tide"),
            (r#"{"content":""}"#, ""),
            (r#"{"content":"a\"}"}"#, "a\"}"),
            (r#"{"content":"a\u00e9"}"#, "a\u{e9}"),
            (r#"{"content":"a","x":"b"}"#, "a"),
        ] {
            let said = Said {
                message: Some(message),
                ..Said::default()
            };
            let text: String = texts(&said).into_iter().map(|(_, _, text)| text).collect();
            assert_eq!(text, expected, "{message}");
        }
    }

    #[test]
    fn what_is_no_text_is_passed_over() {
        for message in [
            "null",
            "7",
            "[]",
            r#"{"content":null}"#,
            r#"{"content":["a"],"tool_calls":{}}"#,
        ] {
            let said = Said {
                message: Some(message),
                text: Some("7"),
                ..Said::default()
            };
            assert_eq!(texts(&said), [], "{message}");
        }
        let completion = Said {
            text: Some("\"hi\""),
            ..Said::default()
        };
        assert_eq!(texts(&completion), [(0, Part::Content, "hi".to_owned())]);
    }
}
