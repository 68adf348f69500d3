//! What is read of a request to generate, and the body that an engine is sent in its stead.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::endpoint::{Dialect, Endpoint};
use super::json::{Edit, Edits, Fields};
use super::json_cursor::{JsonCursor, nests_deeper_than, string};
use super::prompt::{Input, PromptSource, UnreadablePrompt};
use super::request_error::RequestError;

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
    /// The least of the bounds on output tokens that the client names: engines differ in which of them counts.
    pub least_output: Option<u64>,
    /// How many answers the client wants; at least 1.
    pub choices: u64,
    /// What of the prompt tells where its prefix may be warm.
    pub prompt: Prompt,
    body: Bytes,
    /// Where the prompt stands in the body, JSON syntax included: messages and tools, or prompt, or input.
    prompt_at: Vec<Range<usize>>,
    /// Where the model's name stands in the body.
    model_at: Range<usize>,
    /// What asks for the usage at the end of a stream.
    usage_edit: Option<Edit<'static>>,
}

/// The parts of a prompt that requests of one conversation share, as places in the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Tools, and messages up to the first user message with it; or the beginning of the prompt.
    pub head: Vec<Bytes>,
}

impl Generation {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// What is wrong with it, naming the parameter.
    pub fn decode(endpoint: Endpoint, body: Bytes, nesting: usize) -> Result<Self, RequestError> {
        if nests_deeper_than(&body, nesting) {
            return Err(RequestError::TooDeep { limit: nesting });
        }
        let text = std::str::from_utf8(&body).map_err(|error| RequestError::NotJson {
            detail: error.to_string(),
        })?;
        let fields = Fields::parse(text).map_err(|error| RequestError::NotJson {
            detail: error.to_string(),
        })?;
        if let Some(param) = fields.duplicate(READ) {
            return Err(RequestError::Duplicate { param });
        }
        let reader = Reader { fields: &fields };
        let options = reader.object("stream_options")?;
        let include_usage = match &options {
            Some(options) => Reader { fields: options }.optional::<bool>("include_usage", "a boolean")?,
            None => None,
        };
        let bounds = reader.output_bounds()?;
        let choices = reader.choices()?;
        let model = reader.required::<String>("model", "a string")?;
        let stream =
            reader.optional::<bool>("stream", "a boolean")?.unwrap_or(false) && endpoint != Endpoint::Embeddings;
        let (prompt, parts) = read_prompt(endpoint, &reader, &body)?;
        let include_usage = include_usage.unwrap_or(false);
        let mut edits = Edits::new(text);
        let prompt_at = parts.iter().map(|part| edits.range(part)).collect();
        let model_at = fields
            .get("model")
            .map(|model| edits.range(model.get()))
            .unwrap_or_default();
        if stream {
            ask_for_usage(text, &fields, &mut edits);
        }
        let usage_edit = edits
            .into_list()
            .pop()
            .map(|(at, json)| (at, Cow::Owned(json.into_owned())));
        Ok(Self {
            endpoint,
            model,
            stream,
            include_usage,
            max_output: bounds.iter().copied().max(),
            least_output: bounds.iter().copied().min(),
            choices,
            prompt,
            body,
            prompt_at,
            model_at,
            usage_edit,
        })
    }

    /// The family of API that it came in.
    pub fn dialect(&self) -> Dialect {
        self.endpoint.dialect()
    }

    /// The JSON that the prompt is made of.
    pub fn prompt_json(&self) -> impl Iterator<Item = &[u8]> {
        self.prompt_at.iter().filter_map(|at| self.body.get(at.clone()))
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
        let fields = std::str::from_utf8(&self.body)
            .ok()
            .and_then(|text| Fields::parse(text).ok());
        fields.map_or(Err(UnreadablePrompt::BODY), |fields| {
            PromptSource::read(self.endpoint, &fields)
        })
    }

    /// The body for an engine: its own name of the model, and the usage asked for at the end of a stream. All else
    /// is as the client sent it, byte for byte.
    pub fn body_for(&self, served_name: &str) -> Bytes {
        let renamed = (served_name != self.model).then(|| (self.model_at.clone(), Cow::Owned(quoted(served_name))));
        let edits: Vec<_> = renamed.into_iter().chain(self.usage_edit.clone()).collect();
        match std::str::from_utf8(&self.body) {
            Ok(text) if !edits.is_empty() => Edits::of(text, edits).apply().into(),
            Ok(_) | Err(_) => self.body.clone(),
        }
    }
}

fn ask_for_usage<'a>(text: &'a str, fields: &Fields<'a>, edits: &mut Edits<'a>) {
    const MEMBER: &str = "\"include_usage\":true";
    let Some(options) = fields.get("stream_options") else {
        return edits.append(text, &format!("\"stream_options\":{{{MEMBER}}}"), fields.is_empty());
    };
    match Fields::parse(options.get()) {
        Ok(inner) => match inner.get("include_usage") {
            Some(value) => edits.replace(value, "true"),
            None => edits.append(options.get(), MEMBER, inner.is_empty()),
        },
        // It is null.
        Err(_) => edits.replace(options, format!("{{{MEMBER}}}")),
    }
}

/// The prompt, and the values that it is made of.
fn read_prompt<'a>(
    endpoint: Endpoint,
    reader: &Reader<'_, 'a>,
    body: &Bytes,
) -> Result<(Prompt, Vec<&'a str>), RequestError> {
    match endpoint {
        Endpoint::Chat => read_messages(reader, body),
        Endpoint::Completions => {
            let prompt = reader.string_or_array("prompt")?;
            let bytes = prompt.as_bytes();
            let head = body.slice_ref(&bytes[..bytes.len().min(PROMPT_HEAD_BYTES)]);
            Ok((Prompt { head: vec![head] }, vec![prompt]))
        }
        Endpoint::Embeddings => Ok((Prompt::default(), vec![reader.string_or_array("input")?])),
    }
}

fn read_messages<'a>(reader: &Reader<'_, 'a>, body: &Bytes) -> Result<(Prompt, Vec<&'a str>), RequestError> {
    let part = |json: &str| body.slice_ref(json.as_bytes());
    let tools = reader
        .fields
        .get("tools")
        .map(RawValue::get)
        .filter(|tools| *tools != "null");
    let mut head: Vec<_> = tools.into_iter().map(part).collect();
    let mut seen_user = false;
    let messages = reader.messages()?;
    for (message, role) in messages.list {
        if !seen_user {
            head.push(part(message));
        }
        seen_user |= role == "user";
    }
    let parts = tools.into_iter().chain([messages.json]);
    Ok((Prompt { head }, parts.collect()))
}

/// The messages of a conversation, and what they were read from.
pub(super) struct Messages<'a> {
    /// The array.
    json: &'a str,
    /// Each message with its role.
    list: Vec<(&'a str, Cow<'a, str>)>,
}

/// Passes a message, and gives its role, if it is an object that has just one.
fn role<'a>(cursor: &mut JsonCursor<'a>) -> Option<Cow<'a, str>> {
    if !cursor.enter(b'{') {
        return None;
    }
    let (mut role, mut count) = (None, 0);
    while cursor.next() {
        let is_role = cursor.name() == "role";
        let value = cursor.pass();
        if is_role {
            (role, count) = (string(value), count + 1);
        }
    }
    role.filter(|_| count == 1)
}

/// Typed access to fields, with errors that name the parameter. `null` counts as absent, as it does for OpenAI.
pub(super) struct Reader<'f, 'a> {
    pub(super) fields: &'f Fields<'a>,
}

impl<'a> Reader<'_, 'a> {
    pub(super) fn optional<T: Deserialize<'a>>(
        &self,
        param: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, RequestError> {
        match self.fields.get(param) {
            None => Ok(None),
            Some(value) if value.get() == "null" => Ok(None),
            Some(value) => match serde_json::from_str(value.get()) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(RequestError::WrongType { param, expected }),
            },
        }
    }

    pub(super) fn required<T: Deserialize<'a>>(
        &self,
        param: &'static str,
        expected: &'static str,
    ) -> Result<T, RequestError> {
        self.optional(param, expected)?
            .ok_or(RequestError::Missing { param, expected })
    }

    /// A value as it was written.
    fn json(&self, param: &'static str, expected: &'static str) -> Result<&'a str, RequestError> {
        let json = self.fields.get(param).map(RawValue::get);
        json.filter(|json| *json != "null")
            .ok_or(RequestError::Missing { param, expected })
    }

    fn string_or_array(&self, param: &'static str) -> Result<&'a str, RequestError> {
        let expected = "a string or an array";
        let json = self.json(param, expected)?;
        if json.starts_with(['"', '[']) {
            Ok(json)
        } else {
            Err(RequestError::WrongType { param, expected })
        }
    }

    /// Every bound on output tokens.
    fn output_bounds(&self) -> Result<Vec<u64>, RequestError> {
        let mut bounds = Vec::new();
        for bound in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
            bounds.extend(self.optional::<u64>(bound, "a whole number, at least 0")?);
        }
        Ok(bounds)
    }

    /// How many answers are wanted.
    fn choices(&self) -> Result<u64, RequestError> {
        let (param, expected) = ("n", "a whole number from 1 to 16384");
        let choices = self.optional::<u64>(param, expected)?.unwrap_or(1);
        if (1..=MOST_CHOICES).contains(&choices) {
            Ok(choices)
        } else {
            Err(RequestError::WrongType { param, expected })
        }
    }

    /// The messages of a conversation, at least one.
    pub(super) fn messages(&self) -> Result<Messages<'a>, RequestError> {
        let wrong = |expected| RequestError::WrongType {
            param: "messages",
            expected,
        };
        let expected = "an array of messages";
        let json = self.json("messages", expected)?;
        let mut cursor = JsonCursor::new(json);
        if !cursor.enter(b'[') {
            return Err(wrong(expected));
        }
        let mut list = Vec::new();
        while cursor.next() {
            let before = cursor;
            let role = role(&mut cursor).ok_or_else(|| wrong("an array of objects, each with a string `role`"))?;
            list.push((cursor.since(before), role));
        }
        if list.is_empty() {
            return Err(wrong("an array of at least one message"));
        }
        Ok(Messages { json, list })
    }

    fn object(&self, param: &'static str) -> Result<Option<Fields<'a>>, RequestError> {
        self.optional(param, "an object")
    }
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Parameters that the gateway reads: a second one of the same name could mean another thing to the engine.
const READ: &[&str] = &[
    "model",
    "messages",
    "prompt",
    "input",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "tools",
];
/// What vLLM takes unless it is told otherwise (`VLLM_MAX_N_SEQUENCES`); OpenAI takes 128.
const MOST_CHOICES: u64 = 16_384;
/// How much of a plain prompt counts as its head: about 1,024 tokens, the depth at which hashing found nearly every
/// warm prefix in the Mooncake trace, while half of it sent everything to one replica.
const PROMPT_HEAD_BYTES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<Generation, RequestError> {
        Generation::decode(Endpoint::Chat, Bytes::copy_from_slice(body.as_bytes()), 32)
    }

    fn sent(body: &str) -> String {
        String::from_utf8(chat(body).unwrap().body_for("served").to_vec()).unwrap()
    }

    const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

    #[test]
    fn only_the_model_and_the_wish_for_usage_change() {
        let plain = format!(r#"{{ "temperature":1.0e0, "model" : "m", {MESSAGES}, "x":{{"model":"m"}} }}"#);
        assert_eq!(sent(&plain), plain.replacen("\"m\"", "\"served\"", 1));
        for (before, after) in [
            ("", r#","stream_options":{"include_usage":true}"#),
            (
                r#","stream_options":null"#,
                r#","stream_options":{"include_usage":true}"#,
            ),
            (r#","stream_options":{}"#, r#","stream_options":{"include_usage":true}"#),
            (
                r#","stream_options":{"include_usage":false}"#,
                r#","stream_options":{"include_usage":true}"#,
            ),
            (
                r#","stream_options":{"a":1}"#,
                r#","stream_options":{"a":1,"include_usage":true}"#,
            ),
        ] {
            let body = format!(r#"{{"model":"served",{MESSAGES},"stream":true{before}}}"#);
            assert_eq!(
                sent(&body),
                format!(r#"{{"model":"served",{MESSAGES},"stream":true{after}}}"#)
            );
        }
    }

    #[test]
    fn the_largest_bound_counts() {
        let body = format!(
            r#"{{"model":"m",{MESSAGES},"max_tokens":1,"max_completion_tokens":900,"max_output_tokens":null}}"#
        );
        let request = chat(&body).unwrap();
        assert_eq!((request.max_output, request.least_output), (Some(900), Some(1)));
    }

    #[test]
    fn the_head_ends_with_the_first_user_message() {
        let body = r#"{"model":"m","tools":[1],"messages":[{"role":"system"},{"role":"user","a":1},{"role":"user"}]}"#;
        let head = chat(body).unwrap().prompt.head;
        assert_eq!(
            head,
            [&b"[1]"[..], br#"{"role":"system"}"#, br#"{"role":"user","a":1}"#]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, expected) in [
            ("", "JSON"),
            ("[]", "JSON"),
            ("{\"model\":\"m\"", "JSON"),
            ("{}", "`model`"),
            (r#"{"model":7}"#, "`model`"),
            (r#"{"model":"m"}"#, "`messages`"),
            (r#"{"model":"m","messages":[]}"#, "`messages`"),
            (r#"{"model":"m","messages":"hi"}"#, "`messages`"),
            (r#"{"model":"m","messages":["hi"]}"#, "`messages`"),
            (r#"{"model":"m","messages":[{"role":1}]}"#, "`messages`"),
            (r#"{"model":"m","messages":[["user"]]}"#, "`messages`"),
            (r#"{"model":"m","model":"n","messages":[{"role":"user"}]}"#, "`model`"),
            (
                r#"{"model":"m","messages":[{"role":"user"}],"stream":"yes"}"#,
                "`stream`",
            ),
            (
                r#"{"model":"m","messages":[{"role":"user"}],"max_tokens":-1}"#,
                "`max_tokens`",
            ),
            (r#"{"model":"m","messages":[{"role":"user"}],"n":0}"#, "`n`"),
            (r#"{"model":"m","messages":[{"role":"user"}],"n":16385}"#, "`n`"),
            (
                r#"{"model":"m","messages":[{"role":"user"}],"stream_options":[]}"#,
                "`stream_options`",
            ),
        ] {
            let error = chat(body).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
        let bomb = format!("{{\"model\":\"m\",\"messages\":{}", "[".repeat(1 << 20));
        assert!(matches!(chat(&bomb), Err(RequestError::TooDeep { limit: 32 })));
        assert!(matches!(
            Generation::decode(Endpoint::Chat, Bytes::from_static(b"{\"model\":\"\xff\"}"), 32),
            Err(RequestError::NotJson { .. })
        ));
    }
}
