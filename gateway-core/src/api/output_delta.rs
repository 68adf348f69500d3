//! What a model says, piece by piece, whichever family of API it is told in.

use std::borrow::Cow;

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

/// A text that is new in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputDelta<'a> {
    /// What it belongs to.
    pub channel: OutputChannel,
    /// It, as a JSON string, which is read by those who want it only.
    pub json: &'a str,
}

impl<'a> OutputDelta<'a> {
    /// The text; `None` where its JSON is none that makes a text, such as half a surrogate.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        string(self.json)
    }
}
