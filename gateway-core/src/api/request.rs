//! What is read of a request to generate, and the body that an engine is sent in its stead.

use std::ops::Range;

use bytes::Bytes;

use super::cache_salt::CacheSalt;
use super::endpoint::{Dialect, Endpoint};
use super::json_cursor::JsonCursor;
use super::json_edits::{Edit, spliced};
use super::json_fields::{FieldSpans, Fields};
use super::output_bound::{OutputLimit, WrittenBound};
use super::prompt::{Input, PromptSource, UnreadablePrompt, only_engine_knows};
use super::request_error::RequestError;
use super::steering::Steering;
use crate::config::{EngineKind, Model};

/// A request to generate: the body as it came, and what the gateway has read of it.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Which endpoint it was sent to.
    pub endpoint: Endpoint,
    /// The model as the client names it.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// In which form engines are asked for it.
    pub asked_as: AskedAs,
    /// Whether the client wants the usage at the end of a stream.
    pub include_usage: bool,
    /// Most output tokens that the client allows, in each choice.
    pub max_output: Option<u64>,
    /// Fewest output tokens that the client wants, in each choice.
    pub min_output: u64,
    /// How many answers the client wants; at least 1.
    pub choices: u64,
    /// From how many answers an engine is to choose them; no fewer.
    pub best_of: u64,
    /// The client's name for the conversation, where the body has one.
    pub session: Option<String>,
    /// What would steer engines.
    pub steering: Steering,
    /// What keeps its prefixes apart from those of others in engines' caches.
    pub cache_salt: CacheSalt,
    /// The messages, where it is a conversation.
    pub(super) messages: Vec<Message>,
    pub(super) body: Bytes,
    /// Where in the body the parameters stand that make the prompt.
    pub(super) spans: FieldSpans,
    /// The same of those that are about the answer.
    pub(super) answer_spans: FieldSpans,
    /// Where in the body the model's name stands.
    pub(super) model_span: Range<usize>,
    /// Every bound on output tokens that the client names: engines differ in which of them counts.
    pub(super) bounds: Vec<WrittenBound>,
    /// What every engine is told otherwise: how many answers are wanted, without a fraction, and, where a stream is asked
    /// for, that and the usage at its end.
    pub(super) edits: Vec<Edit<'static>>,
}

/// In which form an engine is asked for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedAs {
    /// As a stream, which the client gets as such or put together.
    Stream,
    /// Whole.
    Whole(WholeReason),
}

/// Why an engine is asked for a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeReason {
    /// It is not generated token by token.
    NotGenerated,
    /// The request has options for streams and wants none: engines refuse that, and say why.
    ForStreams,
    /// Engines refuse this parameter in streams.
    Refused(&'static str),
    /// What this parameter asks for is in whole answers alone, or is otherwise in streams.
    NotInStreams(&'static str),
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Where in the body it stands.
    pub span: Range<usize>,
    pub role: Role,
}

/// Whose a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The user's.
    User,
    /// The model's.
    Assistant,
    /// Anybody else's: the system's, a tool's.
    Other,
}

impl Role {
    pub(super) fn read(role: &str) -> Self {
        match role {
            "user" => Self::User,
            "assistant" => Self::Assistant,
            _ => Self::Other,
        }
    }
}

impl Generation {
    /// The family of API that it came in.
    pub fn dialect(&self) -> Dialect {
        self.endpoint.dialect()
    }

    /// The body as the client sent it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// All parameters that are written in the body, in the order written, each with its value as it is written.
    pub fn parameters(&self) -> Vec<(String, &str)> {
        let text = std::str::from_utf8(&self.body).unwrap_or_default();
        let Ok(fields) = Fields::parse(text) else {
            return Vec::new();
        };
        let parameters = fields.iter().map(|(name, value)| (name.to_owned(), value));
        parameters.collect()
    }

    /// The JSON that the prompt is made of: messages and tools, or prompt, or input.
    pub fn prompt_json(&self) -> impl Iterator<Item = &[u8]> {
        let params: &[&str] = match self.endpoint {
            Endpoint::Chat => &["tools", "messages"],
            Endpoint::Completions => &["prompt"],
            Endpoint::Embeddings => &["input", "messages"],
        };
        params.iter().filter_map(|param| self.prompt_param(param))
    }

    /// The tools of a chat, which are a part of what its prompt is made of.
    pub fn tools_json(&self) -> Option<&[u8]> {
        self.prompt_param("tools").filter(|_| self.endpoint == Endpoint::Chat)
    }

    /// The messages of a conversation as they stand in the body, each with whose it is; none of any other prompt.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = (&[u8], Role)> {
        let message = |message: &Message| (&self.body[message.span.clone()], message.role);
        self.messages.iter().map(message)
    }

    /// The JSON of a parameter that makes the prompt, unless it is null.
    pub fn prompt_param(&self, param: &str) -> Option<&[u8]> {
        let json = self.body.get(self.spans.get(param)?)?;
        (json != b"null").then_some(json)
    }

    /// Whether the request changes its prompt in a way that only the engine knows.
    pub fn only_engine_knows(&self) -> bool {
        let fields = self.spans.fields_of(&self.body);
        fields.is_none_or(|fields| only_engine_knows(&fields))
    }

    /// To how many tokens the client wants its prompt cut, where it names a number.
    pub fn truncation(&self) -> Option<u64> {
        let json = self.body.get(self.spans.get("truncate_prompt_tokens")?)?;
        std::str::from_utf8(json).ok()?.parse().ok()
    }

    /// The lengths of prompts that are tokens already.
    pub fn prompt_lengths(&self) -> Option<Vec<u64>> {
        let json = self.prompt_json().next().filter(|_| self.endpoint != Endpoint::Chat)?;
        let is_list = json.first() == Some(&b'[');
        let source = is_list.then(|| self.prompt_source().ok())??;
        match source.input {
            Input::Tokens(lengths) if !source.only_engine_knows => Some(lengths),
            Input::Tokens(_) | Input::Texts(_) | Input::Chat(_) => None,
        }
    }

    /// The first of the prompts that come as texts or as tokens, as it is written: a string, or an array of numbers.
    pub fn first_prompt(&self) -> Option<&str> {
        let json = self.prompt_param("prompt")?;
        let json = std::str::from_utf8(json).ok()?;
        let mut cursor = JsonCursor::new(json);
        if !cursor.enter(b'[') {
            return Some(json);
        }
        let first = if cursor.next() { cursor.pass() } else { "" };
        Some(if first.starts_with(['"', '[']) { first } else { json })
    }

    /// How many prompts there are, at least 1. They are counted as they stand, whatever is in them.
    pub fn prompts(&self) -> u64 {
        let json = self.prompt_json().next().filter(|_| self.endpoint != Endpoint::Chat);
        let mut cursor = JsonCursor::new(json.and_then(|json| std::str::from_utf8(json).ok()).unwrap_or_default());
        let mut prompts = 0;
        if cursor.enter(b'[') {
            // A number is a token of the only one.
            while cursor.next() && cursor.pass().starts_with(['"', '[']) {
                prompts += 1;
            }
        }
        prompts.max(1)
    }

    /// What makes the prompt, read for counting it.
    ///
    /// # Errors
    /// When it is not what the API says; an engine may take it all the same.
    pub fn prompt_source(&self) -> Result<PromptSource<'_>, UnreadablePrompt> {
        let fields = self.spans.fields_of(&self.body).ok_or(UnreadablePrompt::BODY)?;
        PromptSource::read(self.endpoint, &fields)
    }

    /// Whether what is asked for means something to the engines that serve the model.
    ///
    /// # Errors
    /// When an answer is bounded by -1, and not all of them take that for no bound.
    pub fn check_for(&self, model: &Model) -> Result<(), RequestError> {
        let mut engines = model.serving.iter().map(|serving| serving.cluster.engine);
        match engines.find_map(|engine| self.unknown_minus_one(engine)) {
            Some(param) => Err(RequestError::WrongType {
                param,
                expected: BOUND_EXPECTED,
            }),
            None => Ok(()),
        }
    }

    /// The body for a region hop, which makes of it what its engines are to be sent: the model of the tier and, where a stream is
    /// asked for, that and the usage at its end. All else is as the client sent it, byte for byte.
    pub fn body_for_region(&self, model: &str) -> Bytes {
        self.edited(model, Vec::new())
    }

    /// The body for an engine: its own name of the model, counts without a fraction, a bound on output where the answer
    /// would otherwise become longer than the `limit`, the tenant's salt for prefixes where the engine knows salts and,
    /// where a stream is asked for, that and the usage at its end. All else is as the client sent it, byte for byte; but a
    /// bound of -1 is left out for engines that know none, which a lower tier may come to.
    pub fn body_for(&self, served_name: &str, engine: EngineKind, limit: &OutputLimit) -> Bytes {
        let mut edits = self.bound_edits(engine, limit);
        edits.extend(self.cache_salt.edit(engine, self.endpoint));
        self.edited(served_name, edits)
    }

    /// The body with that name of the model, what every engine is told otherwise, and after that `more`.
    fn edited(&self, model: &str, more: Vec<Edit<'static>>) -> Bytes {
        let renamed = (model != self.model).then(|| (self.model_span.clone(), quoted(model).into()));
        let mut edits: Vec<_> = renamed
            .into_iter()
            .chain(self.edits.iter().cloned())
            .chain(more)
            .collect();
        if edits.is_empty() {
            return self.body.clone();
        }
        edits.sort_by_key(|(span, _)| span.start);
        spliced(&self.body, &edits).into()
    }
}

/// What a bound on output tokens must be.
pub(super) const BOUND_EXPECTED: &str = "a whole number, at least 0";

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
