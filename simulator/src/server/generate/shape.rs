//! The JSON of answers and of stream events, field by field as vLLM writes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::plan::{Choice, Plan, Style};
use crate::language::answer::{Emission, Finish, ToolCall};
use crate::language::logprobs::{Scored, score};
use crate::language::tokens::{TokenId, decode, decode_into};

/// Tokens counted.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Usage {
    pub prompt_tokens: u32,
    pub total_tokens: u32,
    pub completion_tokens: u32,
    pub prompt_tokens_details: PromptDetails,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct PromptDetails {
    pub cached_tokens: u32,
}

impl Usage {
    pub const fn new(prompt_tokens: u32, completion_tokens: u32, cached_tokens: u32) -> Self {
        Self {
            prompt_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            completion_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens },
        }
    }
}

#[derive(Serialize)]
struct Chunk<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: C,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct ChatChunkChoice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<ChatLogprobs>,
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<Option<&'a str>>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolDelta<'a>; 1]>,
}

#[derive(Serialize)]
struct ToolDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    index: usize,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct CompletionChoice<'a> {
    index: usize,
    text: &'a str,
    logprobs: Option<CompletionLogprobs>,
    finish_reason: Option<&'a str>,
    stop_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct ChatChoice<'a> {
    index: usize,
    message: ChatMessage<'a>,
    logprobs: Option<ChatLogprobs>,
    finish_reason: &'a str,
    stop_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct ChatMessage<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    tool_calls: Vec<WholeToolCall<'a>>,
    reasoning_content: Option<&'a str>,
}

#[derive(Serialize)]
struct WholeToolCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct ChatLogprobs {
    content: Vec<TokenLogprob>,
}

#[derive(Serialize)]
struct TokenLogprob {
    token: String,
    logprob: f64,
    bytes: Vec<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<Vec<TokenLogprob>>,
}

#[derive(Serialize)]
struct CompletionLogprobs {
    text_offset: Vec<usize>,
    token_logprobs: Vec<f64>,
    tokens: Vec<String>,
    top_logprobs: Vec<BTreeMap<String, f64>>,
}

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

    /// The event of one token of a choice.
    pub fn token_event(&self, index: usize, position: usize, usage: Option<Usage>) -> Bytes {
        let choice = &self.choices[index];
        let is_last = position + 1 == choice.answer.emissions.len();
        let finish_reason = is_last.then(|| self.finish_name(choice));
        let stop_reason = choice.answer.stop_reason.as_deref().filter(|_| is_last);
        let range = position..position + 1;
        match self.style {
            Style::Chat => {
                let logprobs = self.chat_logprobs(choice, range);
                let stop_reason = is_last.then_some(stop_reason);
                let delta = delta(choice, position);
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
                let shown = shown_text(choice, position);
                let echoed = choice
                    .echo
                    .as_ref()
                    .filter(|_| position == 0)
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
        match self.style {
            Style::Chat => {
                let choices = self
                    .choices
                    .iter()
                    .enumerate()
                    .map(|(index, choice)| self.chat_choice(index, choice));
                self.json("chat.completion", choices.collect::<Vec<_>>(), Some(usage))
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
                self.json("text_completion", choices.collect::<Vec<_>>(), Some(usage))
            }
        }
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
        event(&self.json(object, choices, usage))
    }

    fn json(&self, object: &'static str, choices: impl Serialize, usage: Option<Usage>) -> Vec<u8> {
        let chunk = Chunk {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            choices,
            usage,
        };
        // Strings, finite numbers and lists of them always serialise.
        serde_json::to_vec(&chunk).unwrap_or_default()
    }

    fn chat_logprobs(&self, choice: &Choice, range: std::ops::Range<usize>) -> Option<ChatLogprobs> {
        let top = self.top_logprobs?;
        let scored = range.filter(|position| is_text(choice, *position));
        let content = scored.map(|position| {
            let (chosen, candidates) = score(choice.seed, position, choice.answer.tokens[position], top);
            let candidates = candidates
                .iter()
                .map(|candidate| token_logprob(candidate, None))
                .collect();
            token_logprob(&chosen, Some(candidates))
        });
        Some(ChatLogprobs {
            content: content.collect(),
        })
    }

    fn completion_logprobs(&self, choice: &Choice, range: std::ops::Range<usize>) -> Option<CompletionLogprobs> {
        let top = self.top_logprobs?;
        let base = choice.echo.as_ref().map_or(0, String::len);
        let mut logprobs = CompletionLogprobs {
            text_offset: Vec::new(),
            token_logprobs: Vec::new(),
            tokens: Vec::new(),
            top_logprobs: Vec::new(),
        };
        for position in range {
            let Some(Emission::Text(shown)) = choice.answer.emissions.get(position) else {
                continue;
            };
            let (chosen, candidates) = score(choice.seed, position, choice.answer.tokens[position], top);
            logprobs.text_offset.push(base + shown.start);
            logprobs.token_logprobs.push(chosen.logprob);
            logprobs.tokens.push(decode(&[chosen.token]));
            let candidates = candidates
                .iter()
                .map(|candidate| (decode(&[candidate.token]), candidate.logprob));
            logprobs.top_logprobs.push(candidates.collect());
        }
        Some(logprobs)
    }
}

/// An SSE event with this data.
pub(super) fn event(data: &[u8]) -> Bytes {
    Bytes::from([b"data: ", data, b"\n\n"].concat())
}

fn delta(choice: &Choice, position: usize) -> Delta<'_> {
    let answer = &choice.answer;
    match &answer.emissions[position] {
        Emission::Text(range) => Delta {
            content: Some(&answer.text[range.clone()]),
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

fn is_text(choice: &Choice, position: usize) -> bool {
    matches!(choice.answer.emissions.get(position), Some(Emission::Text(_)))
}

fn shown_text(choice: &Choice, position: usize) -> &str {
    match &choice.answer.emissions[position] {
        Emission::Text(range) => &choice.answer.text[range.clone()],
        Emission::ToolName { .. } | Emission::ToolArguments { .. } | Emission::End => "",
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

fn token_logprob(scored: &Scored, top_logprobs: Option<Vec<TokenLogprob>>) -> TokenLogprob {
    let bytes = token_bytes(scored.token);
    TokenLogprob {
        token: decode(&[scored.token]),
        logprob: scored.logprob,
        bytes,
        top_logprobs,
    }
}

fn token_bytes(token: TokenId) -> Vec<u8> {
    let mut bytes = Vec::new();
    decode_into(token, &mut bytes);
    bytes
}
