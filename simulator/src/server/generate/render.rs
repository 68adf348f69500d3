//! Writes a plan's answers: as events, one per token or per run of them, or as one body.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

use super::plan::{Choice, Plan, Style};
use super::shape::{
    ChatChoice, ChatChunkChoice, ChatMessage, Chunk, CompletionChoice, Delta, FunctionDelta, ToolDelta, Usage,
    WholeToolCall,
};
use crate::language::answer::{Emission, Finish, ToolCall};

impl Plan {
    /// The event that opens a choice of a chat.
    pub fn role_event(&self, index: usize, usage: Option<Usage>) -> Bytes {
        let delta = Delta {
            role: Some("assistant"),
            content: Some(""),
            ..Delta::default()
        };
        let choice = ChatChunkChoice {
            index,
            delta,
            logprobs: None,
            finish_reason: None,
            stop_reason: None,
        };
        self.event([choice], usage)
    }

    /// Where the run of tokens ends that one event can hold, from `run.start` to at most `run.end`: text, or one token of
    /// anything else.
    pub fn event_end(&self, index: usize, run: Range<usize>) -> usize {
        let emissions = &self.choices[index].answer.emissions[run.clone()];
        let texts = emissions
            .iter()
            .take_while(|emission| matches!(emission, Emission::Text(_)));
        run.start + texts.count().max(1)
    }

    /// The event of a run of a choice's tokens, which [`Self::event_end`] has bounded.
    pub fn token_event(&self, index: usize, range: Range<usize>, usage: Option<Usage>) -> Bytes {
        let choice = &self.choices[index];
        let is_first = range.start == 0;
        let is_last = range.end == choice.answer.emissions.len();
        let finish_reason = is_last.then(|| self.finish_name(choice));
        let stop_reason = choice.answer.stop_reason.as_deref().filter(|_| is_last);
        match self.style {
            Style::Chat => {
                let logprobs = self.chat_logprobs(choice, range.clone());
                let stop_reason = is_last.then_some(stop_reason);
                let delta = delta(choice, &range);
                self.event(
                    [ChatChunkChoice {
                        index,
                        delta,
                        logprobs,
                        finish_reason,
                        stop_reason,
                    }],
                    usage,
                )
            }
            Style::Completion => {
                let shown = shown_text(choice, &range);
                let echoed = choice
                    .echo
                    .as_ref()
                    .filter(|_| is_first)
                    .map(|echo| format!("{echo}{shown}"));
                let text = echoed.as_deref().unwrap_or(shown);
                let logprobs = self.completion_logprobs(choice, range);
                self.event(
                    [CompletionChoice {
                        index,
                        text,
                        logprobs,
                        finish_reason,
                        stop_reason,
                    }],
                    usage,
                )
            }
        }
    }

    /// The event behind all choices, when usage is asked for.
    pub fn usage_event(&self, usage: Usage) -> Bytes {
        self.event([(); 0], Some(usage))
    }

    /// The body of an answer that is not streamed.
    pub fn body(&self, usage: Usage) -> Vec<u8> {
        let mut body = Vec::with_capacity(1_024);
        match self.style {
            Style::Chat => {
                let choices = self
                    .choices
                    .iter()
                    .enumerate()
                    .map(|(index, choice)| self.chat_choice(index, choice));
                self.write_json(&mut body, "chat.completion", choices.collect::<Vec<_>>(), Some(usage));
            }
            Style::Completion => {
                let texts: Vec<String> = self.choices.iter().map(whole_text).collect();
                let choices = self.choices.iter().zip(&texts).enumerate();
                let choices = choices.map(|(index, (choice, text))| CompletionChoice {
                    index,
                    text,
                    logprobs: self.completion_logprobs(choice, 0..choice.answer.tokens.len()),
                    finish_reason: Some(self.finish_name(choice)),
                    stop_reason: choice.answer.stop_reason.as_deref(),
                });
                self.write_json(&mut body, "text_completion", choices.collect::<Vec<_>>(), Some(usage));
            }
        }
        body
    }

    fn chat_choice<'a>(&'a self, index: usize, choice: &'a Choice) -> ChatChoice<'a> {
        let answer = &choice.answer;
        let content = if answer.tool_calls.is_empty() {
            Some(answer.text.as_str())
        } else {
            None
        };
        let message = ChatMessage {
            role: "assistant",
            content,
            refusal: None,
            tool_calls: answer.tool_calls.iter().map(whole_tool_call).collect(),
            reasoning_content: None,
        };
        ChatChoice {
            index,
            message,
            logprobs: self.chat_logprobs(choice, 0..answer.tokens.len()),
            finish_reason: self.finish_name(choice),
            stop_reason: answer.stop_reason.as_deref(),
        }
    }

    fn finish_name(&self, choice: &Choice) -> &str {
        let name = match choice.answer.finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ToolCalls => "tool_calls",
        };
        self.finish_reason.as_deref().unwrap_or(name)
    }

    fn event(&self, choices: impl Serialize, usage: Option<Usage>) -> Bytes {
        let object = match self.style {
            Style::Chat => "chat.completion.chunk",
            Style::Completion => "text_completion",
        };
        let mut event = Vec::with_capacity(EVENT_BYTES);
        event.extend_from_slice(DATA);
        self.write_json(&mut event, object, choices, usage);
        event.extend_from_slice(END_OF_EVENT);
        Bytes::from(event)
    }

    fn write_json(&self, into: &mut Vec<u8>, object: &'static str, choices: impl Serialize, usage: Option<Usage>) {
        let chunk = Chunk {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            choices,
            usage,
        };
        let written = serde_json::to_writer(into, &chunk);
        debug_assert!(
            written.is_ok(),
            "strings, finite numbers and lists of them always serialise"
        );
    }
}

/// Room for the event of one token, so that it is written without growing.
const EVENT_BYTES: usize = 320;
const DATA: &[u8] = b"data: ";
const END_OF_EVENT: &[u8] = b"\n\n";

/// An SSE event with this data.
pub(super) fn event(data: &[u8]) -> Bytes {
    Bytes::from([DATA, data, END_OF_EVENT].concat())
}

fn delta<'a>(choice: &'a Choice, tokens: &Range<usize>) -> Delta<'a> {
    let answer = &choice.answer;
    match &answer.emissions[tokens.start] {
        Emission::Text(_) => Delta {
            content: Some(shown_text(choice, tokens)),
            ..Delta::default()
        },
        Emission::ToolName { call } => {
            let ToolCall { id, name, .. } = &answer.tool_calls[*call];
            let function = FunctionDelta {
                name: Some(name),
                arguments: "",
            };
            let delta = ToolDelta {
                id: Some(id),
                r#type: Some("function"),
                index: *call,
                function,
            };
            Delta {
                tool_calls: Some([delta]),
                ..Delta::default()
            }
        }
        Emission::ToolArguments { call, range } => {
            let arguments = &answer.tool_calls[*call].arguments[range.clone()];
            let function = FunctionDelta { name: None, arguments };
            let delta = ToolDelta {
                id: None,
                r#type: None,
                index: *call,
                function,
            };
            Delta {
                tool_calls: Some([delta]),
                ..Delta::default()
            }
        }
        Emission::End => Delta {
            content: answer.tool_calls.is_empty().then_some(""),
            ..Delta::default()
        },
    }
}

fn shown_text<'a>(choice: &'a Choice, tokens: &Range<usize>) -> &'a str {
    let answer = &choice.answer;
    match (&answer.emissions[tokens.start], &answer.emissions[tokens.end - 1]) {
        (Emission::Text(first), Emission::Text(last)) => &answer.text[first.start..last.end],
        (Emission::Text(_) | Emission::ToolName { .. } | Emission::ToolArguments { .. } | Emission::End, _) => "",
    }
}

fn whole_text(choice: &Choice) -> String {
    format!("{}{}", choice.echo.as_deref().unwrap_or_default(), choice.answer.text)
}

fn whole_tool_call(call: &ToolCall) -> WholeToolCall<'_> {
    let function = FunctionDelta {
        name: Some(&call.name),
        arguments: &call.arguments,
    };
    WholeToolCall {
        id: &call.id,
        r#type: "function",
        function,
    }
}
