//! What is read of a request to generate, and the body that an engine is sent in its stead.

use std::ops::Range;

use bytes::Bytes;

use super::endpoint::{Dialect, Endpoint};
use super::json_edits::{Edit, spliced};
use super::json_fields::FieldSpans;
use super::prompt::{Input, PromptSource, UnreadablePrompt, only_engine_knows};
use crate::ids::Tokens;

/// A request to generate: the body as it came, and what the gateway has read of it.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Which endpoint it was sent to.
    pub endpoint: Endpoint,
    /// The model as the client names it.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the client wants the usage at the end of a stream.
    pub include_usage: bool,
    /// Most output tokens that the client allows, in each choice.
    pub max_output: Option<u64>,
    /// How many answers the client wants; at least 1.
    pub choices: u64,
    /// What of the prompt tells where its prefix may be warm.
    pub prompt: Prompt,
    pub(super) body: Bytes,
    /// Where in the body the parameters stand that make the prompt.
    pub(super) spans: FieldSpans,
    /// Where in the body the model's name stands.
    pub(super) model_span: Range<usize>,
    /// Every bound on output tokens that the client names, and where in the body it stands: engines differ in which of
    /// them counts.
    pub(super) bounds: Vec<(u64, Range<usize>)>,
    /// What asks for the usage at the end of a stream.
    pub(super) usage_edit: Option<Edit<'static>>,
}

/// The parts of a prompt that requests of one conversation share, as slices of the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Tools, and messages up to the first user message with it; or the beginning of the prompt.
    pub head: Vec<Bytes>,
}

impl Generation {
    /// The family of API that it came in.
    pub fn dialect(&self) -> Dialect {
        self.endpoint.dialect()
    }

    /// The JSON that the prompt is made of: messages and tools, or prompt, or input.
    pub fn prompt_json(&self) -> impl Iterator<Item = &[u8]> {
        let params: &[&str] = match self.endpoint {
            Endpoint::Chat => &["tools", "messages"],
            Endpoint::Completions => &["prompt"],
            Endpoint::Embeddings => &["input"],
        };
        let json = |param: &&str| self.body.get(self.spans.get(param)?);
        params.iter().filter_map(json).filter(|json| *json != b"null")
    }

    /// The tools of a chat, which are a part of what its prompt is made of.
    pub fn tools_json(&self) -> Option<&[u8]> {
        let span = self.spans.get("tools").filter(|_| self.endpoint == Endpoint::Chat)?;
        self.body.get(span).filter(|json| *json != b"null")
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

    /// What makes the prompt, read for counting it.
    ///
    /// # Errors
    /// When it is not what the API says; an engine may take it all the same.
    pub fn prompt_source(&self) -> Result<PromptSource<'_>, UnreadablePrompt> {
        let fields = self.spans.fields_of(&self.body).ok_or(UnreadablePrompt::BODY)?;
        PromptSource::read(self.endpoint, &fields)
    }

    /// The body for an engine: its own name of the model, the usage asked for at the end of a stream, and no bound on
    /// output beyond the `room` that the model's context has for it. All else is as the client sent it, byte for byte.
    pub fn body_for(&self, served_name: &str, room: Tokens) -> Bytes {
        let renamed = (served_name != self.model).then(|| (self.model_span.clone(), quoted(served_name).into()));
        let mut edits: Vec<_> = renamed.into_iter().chain(self.usage_edit.clone()).collect();
        edits.extend(self.bounds_cut_to(room));
        if edits.is_empty() {
            return self.body.clone();
        }
        edits.sort_by_key(|(span, _)| span.start);
        spliced(&self.body, &edits).into()
    }

    fn bounds_cut_to(&self, room: Tokens) -> impl Iterator<Item = Edit<'static>> {
        let beyond = move |(bound, _): &&(u64, Range<usize>)| *bound > room.0;
        let generates = self.endpoint.generates();
        let bounds = self.bounds.iter().filter(move |_| generates).filter(beyond);
        bounds.map(move |(_, span)| (span.clone(), room.to_string().into()))
    }
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
