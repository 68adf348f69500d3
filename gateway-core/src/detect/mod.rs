//! What passes every health probe: answers that loop, are gibberish, or call tools that there are not. Each detector reads
//! one text as it passes, in constant memory, and decides nothing of what follows from what it finds.

mod echo;
mod empty;
mod gibberish;
mod policy;
mod reasoning;
mod repetition;
#[cfg(test)]
mod samples;
mod tool_calls;
mod watch;

pub use gibberish::{Gibberish, Scripts};
pub use policy::{Action, DetectionOverrides, DetectionPolicy};
pub use repetition::Repetition;
pub use tool_calls::ToolContext;
pub use watch::{Finish, Subject, TextPart, Watch};

use serde::{Deserialize, Serialize};

/// What can be wrong with an answer that its engine takes for a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// The same again and again.
    Repetition,
    /// No language that anybody writes.
    Gibberish,
    /// A call of a tool that was not declared, or with arguments that it does not take, or the same call over and over.
    ToolCalls,
    /// Nothing, or nothing but white space.
    Empty,
    /// The prompt.
    Echo,
    /// Thinking without an end.
    Reasoning,
}

/// What a detector has found. It says nothing of what the answer says.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which one has found it.
    pub detector: Detector,
    /// How sure it is: by how much what it measures is beyond its threshold, 1 at it.
    pub score: f32,
    /// How much of the text had come when it was sure, in bytes.
    pub at_bytes: u64,
    /// What it has measured, in words.
    pub reason: String,
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Repetition,
        Self::Gibberish,
        Self::ToolCalls,
        Self::Empty,
        Self::Echo,
        Self::Reasoning,
    ];

    /// Its name, as configuration, labels and metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repetition => "repetition",
            Self::Gibberish => "gibberish",
            Self::ToolCalls => "tool_calls",
            Self::Empty => "empty",
            Self::Echo => "echo",
            Self::Reasoning => "reasoning",
        }
    }
}
