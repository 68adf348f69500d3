//! What a model says, piece by piece, whichever family of API it is told in.

use std::borrow::Cow;

use super::json_cursor::string;
use crate::detect::{Finish, TextPart, Watch};

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
    /// Why it does not answer.
    Refusal,
    /// What is not read: what is to be heard, content in parts, and what engines have made up.
    Other,
}

/// What a text is in a call of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPart {
    /// A piece of the tool's name.
    Name {
        /// Which of the answer's calls.
        index: u64,
    },
    /// A piece of its arguments.
    Arguments {
        /// Which of the answer's calls.
        index: u64,
    },
}

/// One of the answers that were asked for has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub choice: u64,
    /// Why.
    pub finish: Finish,
}

/// A text that is new in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputDelta<'a> {
    /// What it belongs to.
    pub channel: OutputChannel,
    /// Of which part of which call, where it is of one.
    pub call: Option<CallPart>,
    /// It, as a JSON string, which is read by those who want it only.
    pub json: &'a str,
}

impl<'a> OutputDelta<'a> {
    /// Has detectors hear it.
    pub fn tell(&self, watch: &mut Watch) {
        let text = self.text().unwrap_or_default();
        match (self.call, self.channel.part) {
            (Some(CallPart::Name { index }), _) => watch.on_call_name(index, &text),
            (Some(CallPart::Arguments { index }), _) => watch.on_call_arguments(index, &text),
            (None, Part::Content) => watch.on_text(TextPart::Content, &text),
            (None, Part::Reasoning) => watch.on_text(TextPart::Reasoning, &text),
            (None, Part::Refusal | Part::ToolCall | Part::Other) => watch.on_other(),
        }
    }

    /// The text; `None` where its JSON is none that makes a text, such as half a surrogate.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        string(self.json)
    }
}
