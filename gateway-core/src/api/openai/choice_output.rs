//! What one of an answer's choices says, whole or a piece of it: read for counting, and read leniently, since nothing
//! that goes to the client depends on it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::parsed_answer::is_silent;
use crate::api::output_delta::{CallPart, OutputChannel, OutputDelta, Part};

/// What one choice says.
#[derive(Debug)]
pub(super) struct ChoiceOutput<'a> {
    /// Which of several answers it is.
    index: u64,
    /// A completion's text.
    text: Option<&'a RawValue>,
    /// A chat's message, or the piece that a chunk adds to it; `None` where it is something else than an object.
    message: Option<Message<'a>>,
    /// Whether the message says nothing, also nothing that is not read.
    is_silent: bool,
}

impl<'a> ChoiceOutput<'a> {
    /// Reads a choice's message or the piece of it, and its text.
    pub fn read(index: u64, message: Option<&'a RawValue>, text: Option<&'a RawValue>) -> Self {
        Self {
            index,
            text,
            message: match message {
                Some(message) => serde_json::from_str(message.get()).ok(),
                None => Some(Message::default()),
            },
            is_silent: message.is_none_or(|message| !message.get().starts_with('{') || is_silent(message)),
        }
    }

    /// All texts in it that are not empty.
    pub fn deltas(&self) -> Vec<OutputDelta<'a>> {
        let mut deltas = Vec::new();
        let mut add = |part, call, value: Option<&'a RawValue>| {
            let json = value
                .map(RawValue::get)
                .filter(|json| is_string(json) && *json != "\"\"");
            deltas.extend(json.map(|json| self.delta(part, call, json)));
        };
        add(Part::Content, None, self.text);
        let Some(message) = &self.message else { return deltas };
        add(Part::Reasoning, None, message.reasoning_content.or(message.reasoning));
        add(Part::Content, None, message.content);
        add(Part::Refusal, None, message.refusal);
        let mut add_call = |index, name, arguments| {
            add(Part::ToolCall, Some(CallPart::Name { index }), name);
            add(Part::ToolCall, Some(CallPart::Arguments { index }), arguments);
        };
        let calls = message.tool_calls.map(RawValue::get).unwrap_or_default();
        let calls = serde_json::from_str::<Vec<Call<'_>>>(calls).unwrap_or_default();
        for (place, call) in (0..).zip(calls) {
            let index = call.index.and_then(|index| index.get().parse().ok()).unwrap_or(place);
            if let Some(function) = call.function {
                add_call(index, function.name, function.arguments);
            } else if let Some(custom) = call.custom {
                add_call(index, custom.name, custom.input);
            }
        }
        let call = message.function_call.map(RawValue::get).unwrap_or_default();
        if let Ok(function) = serde_json::from_str::<Function<'_>>(call) {
            add_call(0, function.name, function.arguments);
        }
        if deltas.is_empty() && !self.is_silent {
            deltas.push(self.delta(Part::Other, None, NOTHING));
        }
        deltas
    }

    /// The text, empty or not, where it says just one.
    pub fn single(&self) -> Option<OutputDelta<'a>> {
        let message = self.message.as_ref()?;
        let texts = [
            (Part::Content, self.text),
            (Part::Content, message.content),
            (Part::Reasoning, message.reasoning_content),
            (Part::Reasoning, message.reasoning),
            (Part::Refusal, message.refusal),
        ];
        let mut texts = texts.into_iter().filter_map(|(part, value)| Some((part, value?.get())));
        let has_calls = message.tool_calls.is_some() || message.function_call.is_some();
        match (texts.next(), texts.next(), has_calls) {
            (Some((part, json)), None, false) if is_string(json) => Some(self.delta(part, None, json)),
            _ => None,
        }
    }

    fn delta(&self, part: Part, call: Option<CallPart>, json: &'a str) -> OutputDelta<'a> {
        let channel = OutputChannel {
            choice: self.index,
            part,
        };
        OutputDelta { channel, call, json }
    }
}

/// A text that nobody need count.
const NOTHING: &str = "\"\"";

fn is_string(json: &str) -> bool {
    json.starts_with('"')
}

#[derive(Debug, Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    /// vLLM's newer name for the same.
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    /// What calls were before there could be several.
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    /// Which of several, in a chunk.
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
    /// A call of a tool that takes any text.
    #[serde(borrow, default)]
    custom: Option<Custom<'a>>,
}

#[derive(Deserialize)]
struct Custom<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(message: Option<&'a str>, text: Option<&'a str>) -> ChoiceOutput<'a> {
        let raw = |json: Option<&'a str>| json.map(|json| serde_json::from_str(json).unwrap());
        ChoiceOutput::read(2, raw(message.filter(|json| *json != "null")), raw(text))
    }

    fn texts(deltas: &[OutputDelta<'_>]) -> Vec<(u64, Part, String)> {
        let each = deltas.iter().map(|delta| {
            let OutputChannel { choice, part } = delta.channel;
            (choice, part, delta.text().unwrap().into_owned())
        });
        each.collect()
    }

    #[test]
    fn every_part_of_a_message_is_found() {
        let message = r#"{"role":"assistant","reasoning":"hm","content":"a\nb","tool_calls":[{"index":0,"id":"x",
            "function":{"name":"f","arguments":"{\"a\":1}"}},{"function":{"arguments":""}},{"function":{"name":null}}]}"#;
        let expected = [
            (2, Part::Reasoning, "hm".to_owned()),
            (2, Part::Content, "a\nb".to_owned()),
            (2, Part::ToolCall, "f".to_owned()),
            (2, Part::ToolCall, "{\"a\":1}".to_owned()),
        ];
        assert_eq!(texts(&read(Some(message), None).deltas()), expected);
    }

    #[test]
    fn what_is_not_read_is_no_silence() {
        for message in [
            r#"{"content":[{"type":"text","text":"a"}]}"#,
            r#"{"content":null,"thinking":"a"}"#,
            r#"{"content":"","audio":{"id":"a","data":"AA"}}"#,
        ] {
            assert_eq!(
                texts(&read(Some(message), None).deltas()),
                [(2, Part::Other, String::new())],
                "{message}"
            );
        }
        for message in [
            r#"{"role":"assistant","content":[]}"#,
            r#"{"content":null,"audio":null}"#,
            "{}",
        ] {
            assert_eq!(texts(&read(Some(message), None).deltas()), [], "{message}");
        }
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
            let texts = texts(&read(Some(message), None).deltas());
            let text: String = texts.into_iter().map(|(_, _, text)| text).collect();
            assert_eq!(text, expected, "{message}");
        }
    }

    #[test]
    fn what_is_no_text_is_passed_over() {
        for message in [
            "null",
            "7",
            "[7]",
            r#"{"content":null}"#,
            r#"{"content":[],"tool_calls":{}}"#,
        ] {
            assert_eq!(read(Some(message), Some("7")).deltas(), [], "{message}");
        }
        let completion = read(None, Some("\"hi\"")).deltas();
        assert_eq!(texts(&completion), [(2, Part::Content, "hi".to_owned())]);
    }

    #[test]
    fn a_single_text_is_all_that_a_piece_says() {
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
            (Some("[7]"), None, None),
        ] {
            let output = read(message, text);
            let single = output.single();
            assert_eq!(single.map(|delta| delta.channel.part), expected, "{message:?} {text:?}");
            assert!(
                single.is_none_or(|delta| output.deltas() == [delta]),
                "{message:?} {text:?}"
            );
        }
    }
}
