//! What is read of an answer, whole or a chunk of a stream; everything else passes.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::choice_output::ChoiceOutput;
use super::finish_reason::{Finish, why};
use super::usage::read_usage;
use crate::api::answer::{NoAnswer, Usage};
use crate::api::engine_error::EngineError;
use crate::api::json_fields::Fields;
use crate::api::output_delta::Ended;

/// An answer, as far as it is read.
#[derive(Deserialize)]
pub(super) struct ParsedAnswer<'a> {
    /// The model's name.
    #[serde(borrow, default, deserialize_with = "present")]
    pub model: Option<&'a RawValue>,
    /// What [`usage`](Self::usage) is read from.
    #[serde(borrow, default, deserialize_with = "present")]
    pub usage: Option<&'a RawValue>,
    /// Which of its versions the engine says to be.
    #[serde(borrow, default, deserialize_with = "present")]
    pub system_fingerprint: Option<&'a RawValue>,
    /// How far llama.cpp has come with reading the prompt, for clients that want to know.
    #[serde(borrow, default)]
    prompt_progress: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

/// One of the answers that were asked for, or a piece of it.
#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    /// Why it is complete, as JSON.
    #[serde(borrow, default, deserialize_with = "present")]
    pub finish_reason: Option<&'a RawValue>,
}

impl<'a> ParsedAnswer<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it is none, or one that the engine gave up on.
    pub fn of(text: &'a str) -> Result<Self, NoAnswer> {
        // serde would read a struct from an array as well.
        if !text.trim_start().starts_with('{') {
            return Err(NoAnswer::NotJson);
        }
        let parsed: Self = serde_json::from_str(text).map_err(|_| NoAnswer::NotJson)?;
        if parsed.is_error() {
            return Err(NoAnswer::Error(EngineError::read(text.as_bytes())));
        }
        let given_up = parsed.choices().iter().find(|choice| choice.finish() == Finish::GaveUp);
        match given_up.and_then(|choice| choice.finish_reason) {
            Some(reason) => Err(NoAnswer::Error(EngineError::finished(reason.get()))),
            None => Ok(parsed),
        }
    }

    /// The usage that it reports. One that no request can have counts as missing.
    pub fn usage(&self) -> Option<Usage> {
        read_usage(self.usage?.get())
    }

    /// Whether it is a chunk that is only about the usage, whatever that says.
    pub fn is_about_usage(&self) -> bool {
        self.choices().is_empty() && self.usage.is_some_and(|usage| usage.get() != "null")
    }

    /// Whether it says anything other than whose turn it is.
    pub fn says_something(&self, usage: Option<Usage>) -> bool {
        let is_used = usage.is_some_and(|usage| usage.completion_tokens > 0);
        is_used
            || self.is_about_usage()
            || self.prompt_progress.is_some()
            || !self.choices().iter().all(Choice::is_silent)
    }

    /// The answers, or their pieces.
    pub fn choices(&self) -> &[Choice<'a>] {
        self.choices.as_deref().unwrap_or_default()
    }

    /// Which of them end with it.
    pub fn ended(&self) -> Vec<Ended> {
        let ended = |choice: &Choice<'_>| {
            let finish = why(choice.finish_reason?.get())?;
            let choice = choice.index();
            Some(Ended { choice, finish })
        };
        self.choices().iter().filter_map(ended).collect()
    }

    /// Whether it is of a completion, and not of a chat.
    pub fn is_completion(&self) -> bool {
        self.choices().iter().any(|choice| choice.text.is_some())
    }

    fn is_error(&self) -> bool {
        let is_other_shape = || {
            let is_named = self.object.is_some_and(|object| object.get() == "\"error\"");
            let says_why = self.detail.is_some() || self.message.is_some();
            is_named || (says_why && self.choices.is_none())
        };
        self.error.is_some_and(is_truthy) || is_other_shape()
    }
}

impl<'a> Choice<'a> {
    /// Which of several answers it is.
    pub fn index(&self) -> u64 {
        self.index
            .and_then(|index| index.get().parse().ok())
            .unwrap_or_default()
    }

    /// What it says.
    pub fn output(&self) -> ChoiceOutput<'a> {
        // Engines that give both leave one of them empty.
        let message = match (self.delta, self.message) {
            (Some(delta), Some(message)) if is_silent(delta) => Some(message),
            (delta, message) => delta.or(message),
        };
        ChoiceOutput::read(self.index(), message, self.text)
    }

    /// Whether it is complete.
    pub fn finish(&self) -> Finish {
        self.finish_reason
            .map_or(Finish::Open, |reason| Finish::of(reason.get()))
    }

    /// Whether it says no more than whose turn it is.
    fn is_silent(&self) -> bool {
        let parts = [self.delta, self.message];
        self.finish() == Finish::Open && self.text.is_none_or(is_empty) && parts.into_iter().flatten().all(is_silent)
    }
}

/// Whether a message, or the piece of one, names a role at most.
pub(super) fn is_silent(message: &RawValue) -> bool {
    let fields = Fields::parse(message.get());
    fields.is_ok_and(|fields| {
        fields
            .iter()
            .all(|(name, value)| name == "role" || is_empty_json(value))
    })
}

fn is_empty(value: &RawValue) -> bool {
    is_empty_json(value.get())
}

fn is_empty_json(json: &str) -> bool {
    matches!(json, "null" | "\"\"" | "[]" | "{}")
}

/// A value that is there, also when it is null: it may have to be edited.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn is_truthy(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "false" | "0" | "\"\"")
}
