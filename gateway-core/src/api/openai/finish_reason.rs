//! Why a choice ends: which reasons are none yet, which say that the engine gave up, and what clients see of the others.

use crate::detect;

/// What a reason to finish says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Nothing yet: there is more to come.
    Open,
    /// The choice is complete, or as long as it may be.
    Complete,
    /// The engine gave up on it.
    GaveUp,
}

impl Finish {
    /// What `json` says, which is a `finish_reason`.
    pub fn of(json: &str) -> Self {
        match json.trim_matches('"') {
            "" | "null" => Self::Open,
            // vLLM's, SGLang's and Dynamo's words for an answer that was cut off.
            "abort" | "error" => Self::GaveUp,
            _ => Self::Complete,
        }
    }
}

/// The reason that clients know for one that an engine made up; `None` where it can stay.
pub(super) fn known_reason(json: &str) -> Option<&'static str> {
    match json.trim_matches('"') {
        "" => Some("null"),
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" | "null" => None,
        // TGI's and others' words for the answer's bound; and vLLM's for an answer that it cut off since it ran in circles.
        "max_tokens" | "max_length" | "model_length" | "repetition" => Some("\"length\""),
        "tool_call" | "tool_use" => Some("\"tool_calls\""),
        // `eos_token`, `stop_sequence`, `end_turn` and what will come.
        _ => Some("\"stop\""),
    }
}

/// Why a choice has ended whose `finish_reason` is `json`; `None` where it has not.
pub(super) fn why(json: &str) -> Option<detect::Finish> {
    match known_reason(json).unwrap_or(json).trim_matches('"') {
        "null" => None,
        "length" => Some(detect::Finish::Length),
        "content_filter" => Some(detect::Finish::Filtered),
        "tool_calls" | "function_call" => Some(detect::Finish::ToolCalls),
        _ => Some(detect::Finish::Stop),
    }
}

/// The choices of a stream that have said anything, and which of them are complete.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamedChoices(Vec<(u64, Finish)>);

impl StreamedChoices {
    /// A chunk has a piece of that choice.
    pub fn on_piece(&mut self, index: u64, finish: Finish) {
        let known = self.0.iter().position(|(known, _)| *known == index);
        match known {
            Some(known) if finish == Finish::Complete => self.0[known].1 = finish,
            None if self.0.len() < MOST_CHOICES => self.0.push((index, finish)),
            Some(_) | None => {}
        }
    }

    /// Those that are not complete, of so many that were asked for: also those that have said nothing yet.
    pub fn open(&self, asked: u64) -> impl Iterator<Item = u64> {
        let open = self.0.iter().filter(|(_, finish)| *finish != Finish::Complete);
        let known = |choice: &u64| self.0.iter().any(|(index, _)| index == choice);
        let silent = (0..asked.min(MOST_CHOICES as u64)).filter(move |choice| !known(choice));
        open.map(|(index, _)| *index).chain(silent)
    }

    /// Whether there is nothing more to come.
    pub fn are_complete(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, finish)| *finish == Finish::Complete)
    }
}

/// More choices than any engine gives at once. What is beyond them is not looked at.
const MOST_CHOICES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_those_that_clients_know_and_only_they_complete_a_choice() {
        for (reason, finish, seen) in [
            ("null", Finish::Open, None),
            ("\"\"", Finish::Open, Some("null")),
            ("\"stop\"", Finish::Complete, None),
            ("\"length\"", Finish::Complete, None),
            ("\"eos_token\"", Finish::Complete, Some("\"stop\"")),
            ("\"model_length\"", Finish::Complete, Some("\"length\"")),
            ("\"repetition\"", Finish::Complete, Some("\"length\"")),
            ("\"tool_use\"", Finish::Complete, Some("\"tool_calls\"")),
        ] {
            assert_eq!((Finish::of(reason), known_reason(reason)), (finish, seen), "{reason}");
            assert_eq!(why(reason).is_some(), finish == Finish::Complete, "{reason}");
        }
        assert_eq!(why("\"max_tokens\""), Some(detect::Finish::Length));
        assert_eq!(why("\"tool_use\""), Some(detect::Finish::ToolCalls));
        assert_eq!(Finish::of("\"abort\""), Finish::GaveUp);
        assert_eq!(Finish::of("\"error\""), Finish::GaveUp);
    }

    #[test]
    fn a_stream_is_complete_when_all_choices_are_that_have_spoken() {
        let mut choices = StreamedChoices::default();
        assert!(!choices.are_complete());
        for (index, finish, complete) in [
            (0, Finish::Open, false),
            (0, Finish::Complete, true),
            (2, Finish::Open, false),
            (0, Finish::Open, false),
            (2, Finish::Complete, true),
        ] {
            choices.on_piece(index, finish);
            assert_eq!(choices.are_complete(), complete, "{choices:?}");
        }
    }
}
