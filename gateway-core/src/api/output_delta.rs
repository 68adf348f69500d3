//! What a model says, as it stands in answers and in chunks of them: read for counting, and read leniently, since
//! nothing that goes to the client depends on it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json_cursor::string;

/// Text that belongs together: tokens reach over pieces of one channel, never from one to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputChannel {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputDelta<'a> {
    /// As it stands in an answer or a chunk.
    Choice {
        /// Which of several answers, as JSON.
        index: Option<&'a RawJson>,
        /// A chat's message, or the piece that a chunk adds to it.
        message: Option<&'a RawJson>,
        /// A completion's text.
        text: Option<&'a RawJson>,
    },
    /// Of which nothing but one text is new.
    Text(SingleDelta<'a>),
}

/// A text that is all that a piece of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SingleDelta<'a> {
    /// What it belongs to.
    pub channel: OutputChannel,
    /// It, as a JSON string.
    pub json: &'a RawJson,
}

/// JSON as it was written.
pub(super) type RawJson = str;

impl<'a> OutputDelta<'a> {
    /// Hands out the texts in it.
    pub fn each(&self, mut on_text: impl FnMut(OutputChannel, &str)) {
        let (index, message, text) = match *self {
            Self::Choice { index, message, text } => (index, message, text),
            Self::Text(SingleDelta { channel, json }) => {
                return string(json).into_iter().for_each(|text| on_text(channel, &text));
            }
        };
        let choice = choice(index);
        let mut on = |part, text: Option<Cow<'_, str>>| {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                on_text(OutputChannel { choice, part }, &text);
            }
        };
        on(Part::Content, text.and_then(string));
        let message = message.and_then(|json| serde_json::from_str::<Message<'_>>(json).ok());
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

    /// The text, where it says just one.
    pub(super) fn single(&self) -> Option<SingleDelta<'a>> {
        let (index, message, text) = match *self {
            Self::Choice { index, message, text } => (index, message, text),
            Self::Text(single) => return Some(single),
        };
        let message = message.map(serde_json::from_str::<Message<'a>>).transpose().ok()?;
        let message = message.unwrap_or_default();
        let texts = [
            (Part::Content, text),
            (Part::Content, message.content.map(RawValue::get)),
            (Part::Reasoning, message.reasoning_content.map(RawValue::get)),
            (Part::Reasoning, message.reasoning.map(RawValue::get)),
        ];
        let mut texts = texts.into_iter().filter_map(|(part, json)| Some((part, json?)));
        match (texts.next(), texts.next(), message.tool_calls) {
            (Some((part, json)), None, None) if json.starts_with('"') => Some(SingleDelta {
                channel: OutputChannel {
                    choice: choice(index),
                    part,
                },
                json,
            }),
            _ => None,
        }
    }
}

fn choice(index: Option<&RawJson>) -> u64 {
    index.and_then(|index| index.parse().ok()).unwrap_or_default()
}

fn raw(value: Option<&RawValue>) -> Option<Cow<'_, str>> {
    value.map(RawValue::get).and_then(string)
}

#[derive(Default, Deserialize)]
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

    fn texts(delta: &OutputDelta<'_>) -> Vec<(u64, Part, String)> {
        let mut texts = Vec::new();
        delta.each(|channel, text| texts.push((channel.choice, channel.part, text.to_owned())));
        texts
    }

    #[test]
    fn every_part_of_a_message_is_handed_out() {
        let delta = OutputDelta::Choice {
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
        assert_eq!(texts(&delta), expected);
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
            let delta = OutputDelta::Choice {
                index: None,
                message: Some(message),
                text: None,
            };
            let text: String = texts(&delta).into_iter().map(|(_, _, text)| text).collect();
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
            let delta = OutputDelta::Choice {
                index: None,
                message: Some(message),
                text: Some("7"),
            };
            assert_eq!(texts(&delta), [], "{message}");
        }
        let completion = OutputDelta::Choice {
            index: None,
            message: None,
            text: Some("\"hi\""),
        };
        assert_eq!(texts(&completion), [(0, Part::Content, "hi".to_owned())]);
    }

    #[test]
    fn a_single_delta_is_all_that_a_piece_says() {
        for (message, text, expected) in [
            (
                Some(r#"{"role":"assistant","content":"a\n"}"#),
                None,
                Some(Part::Content),
            ),
            (Some(r#"{"reasoning":"a"}"#), None, Some(Part::Reasoning)),
            (None, Some("\"a\""), Some(Part::Content)),
            (Some(r#"{"role":"assistant"}"#), None, None),
            (Some(r#"{"content":"a","reasoning_content":"b"}"#), None, None),
            (Some(r#"{"content":"a","tool_calls":[]}"#), None, None),
            (Some(r#"{"content":"a"}"#), Some("\"a\""), None),
            (Some("[]"), None, None),
        ] {
            let delta = OutputDelta::Choice {
                index: Some("3"),
                message,
                text,
            };
            let single = delta.single();
            let channel = expected.map(|part| OutputChannel { choice: 3, part });
            assert_eq!(single.map(|single| single.channel), channel, "{message:?} {text:?}");
            assert!(
                single.is_none_or(|single| texts(&OutputDelta::Text(single)) == texts(&delta)),
                "{message:?} {text:?}"
            );
        }
    }
}
