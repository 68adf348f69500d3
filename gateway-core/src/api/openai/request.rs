//! How the body of a request to generate is read: once, as a whole. What the gateway does not know passes.

use std::borrow::Cow;

use bytes::Bytes;

use super::params::Params;
use super::steering::steering;
use super::whole_only::asked_as;
use crate::api::cache_salt::CacheSalt;
use crate::api::endpoint::Endpoint;
use crate::api::json_cursor::{nests_deeper_than, string};
use crate::api::json_edits::{Edit, appended};
use crate::api::json_fields::{Fields, span_within};
use crate::api::output_bound::{BoundValue, WrittenBound};
use crate::api::prompt::PROMPT_PARAMS;
use crate::api::request::{AskedAs, Generation, Message, Role};
use crate::api::request_error::RequestError;
use crate::api::subject::ANSWER_PARAMS;

/// Reads the body of a request to `endpoint`, whose arrays and objects nest at most `nesting` levels deep.
///
/// # Errors
/// What is wrong with it, naming the parameter.
pub fn decode(endpoint: Endpoint, body: Bytes, nesting: usize) -> Result<Generation, RequestError> {
    let (text, fields) = read_fields(&body, READ, nesting)?;
    let params = Params { fields: &fields };
    let options = params.object("stream_options")?;
    let include_usage = match &options {
        Some(options) if options.duplicate(&["include_usage"]).is_some() => {
            let param = "stream_options.include_usage";
            return Err(RequestError::Duplicate { param });
        }
        Some(options) => Params { fields: options }.optional::<bool>("include_usage", "a boolean")?,
        None => None,
    };
    let bounds = params.output_bounds(text)?;
    let choices = params.answers("n")?;
    let best_of = params.answers("best_of")?;
    let model = params.required::<String>("model", "a string")?;
    let stream = params.optional::<bool>("stream", "a boolean")?.unwrap_or(false) && endpoint != Endpoint::Embeddings;
    let messages = read_messages(endpoint, text, &params)?;
    let asked_as = if stream {
        AskedAs::Stream
    } else {
        asked_as(endpoint, &fields)
    };
    let mut edits = Vec::from_iter(choices_edit(text, &fields, choices));
    match asked_as {
        AskedAs::Stream => edits.extend(stream_edits(text, &fields, stream, options.as_ref())),
        AskedAs::Whole(_) => {}
    }
    let spans = fields.spans(text, PROMPT_PARAMS);
    let answer_spans = fields.spans(text, ANSWER_PARAMS);
    let cache_salt = cache_salt(text, &params)?;
    let model_span = fields.get("model").map(|json| span_within(text, json));
    Ok(Generation {
        endpoint,
        model,
        stream,
        asked_as,
        include_usage: include_usage.unwrap_or(false),
        max_output: largest(&bounds),
        min_output: params.count("min_tokens").unwrap_or(0),
        bounds,
        choices,
        best_of: best_of.max(choices),
        messages,
        session: fields.given("prompt_cache_key").and_then(string).map(Cow::into_owned),
        steering: steering(&fields),
        cache_salt,
        spans,
        answer_spans,
        model_span: model_span.unwrap_or_default(),
        edits,
        body,
    })
}

/// The largest bound, where none says that there is none.
fn largest(bounds: &[WrittenBound]) -> Option<u64> {
    let bounded = |bound: &WrittenBound| match bound.value {
        BoundValue::Count(count) => Some(Some(count)),
        BoundValue::MinusOne => Some(None),
        BoundValue::Null => None,
    };
    bounds
        .iter()
        .filter_map(bounded)
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .max()
}

/// A body as text, and the fields of the object that it is.
///
/// # Errors
/// When it nests deeper, is no object, or has one of the fields `once` more than once.
pub fn read_fields<'a>(
    body: &'a [u8],
    once: &[&'static str],
    nesting: usize,
) -> Result<(&'a str, Fields<'a>), RequestError> {
    if nests_deeper_than(body, nesting) {
        return Err(RequestError::TooDeep { limit: nesting });
    }
    let not_json = |detail| RequestError::NotJson { detail };
    let text = std::str::from_utf8(body).map_err(|error| not_json(error.to_string()))?;
    let fields = Fields::parse(text).map_err(|error| not_json(error.to_string()))?;
    match fields.duplicate(once) {
        Some(param) => Err(RequestError::Duplicate { param }),
        None => Ok((text, fields)),
    }
}

/// The client's own salt, and where a tenant's belongs in its stead.
fn cache_salt(text: &str, params: &Params<'_, '_>) -> Result<CacheSalt, RequestError> {
    let own = params.optional::<String>("cache_salt", "a string")?.unwrap_or_default();
    let (at, before) = match params.fields.get("cache_salt") {
        Some(json) => (span_within(text, json), ""),
        None => (appended(text, text, "", params.fields.is_empty()).0, ",\"cache_salt\":"),
    };
    Ok(CacheSalt::of_client(own, at, before))
}

/// What makes a whole number of the answers that are wanted where it is written otherwise, such as `1.0`: engines that read
/// requests with Pydantic take both, others do not.
fn choices_edit(text: &str, fields: &Fields<'_>, choices: u64) -> Option<Edit<'static>> {
    let written = fields.given("n")?;
    let whole = choices.to_string();
    (written != whole).then(|| (span_within(text, written), whole.into()))
}

/// What asks for a stream, unless `is_stream` says that the client does, and for the usage at its end. `options` are the
/// fields of `stream_options`, where it is an object.
fn stream_edits(text: &str, fields: &Fields<'_>, is_stream: bool, options: Option<&Fields<'_>>) -> Vec<Edit<'static>> {
    let mut edits = Vec::new();
    if !is_stream {
        edits.push(match fields.get("stream") {
            Some(json) => (span_within(text, json), Cow::Borrowed("true")),
            None => appended(text, text, "\"stream\":true", fields.is_empty()),
        });
    }
    edits.push(usage_edit(text, fields, options));
    edits
}

/// What asks for the usage at the end of a stream. `options` are the fields of `stream_options`, where it is an object.
fn usage_edit(text: &str, fields: &Fields<'_>, options: Option<&Fields<'_>>) -> Edit<'static> {
    const MEMBER: &str = "\"include_usage\":true";
    match (fields.get("stream_options"), options) {
        (None, _) => appended(
            text,
            text,
            &format!("\"stream_options\":{{{MEMBER}}}"),
            fields.is_empty(),
        ),
        (Some(json), Some(options)) => match options.get("include_usage") {
            Some(value) => (span_within(text, value), Cow::Borrowed("true")),
            None => appended(text, json, MEMBER, options.is_empty()),
        },
        // It is null.
        (Some(json), None) => (span_within(text, json), format!("{{{MEMBER}}}").into()),
    }
}

/// Where its messages stand, where it is a conversation.
fn read_messages(endpoint: Endpoint, text: &str, params: &Params<'_, '_>) -> Result<Vec<Message>, RequestError> {
    let mut messages = Vec::new();
    let on_message = |message: &str, role: &str| {
        messages.push(Message {
            span: span_within(text, message),
            role: Role::read(role),
        });
    };
    match endpoint {
        Endpoint::Chat => params.messages(on_message)?,
        Endpoint::Completions => params.string_or_array("prompt")?,
        // vLLM embeds conversations too, with their images.
        Endpoint::Embeddings if params.fields.given("input").is_none() && params.fields.given("messages").is_some() => {
            params.messages(on_message)?
        }
        Endpoint::Embeddings => params.string_or_array("input")?,
    };
    Ok(messages)
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
    "n_predict",
    "min_tokens",
    "n",
    "best_of",
    "tools",
    "cache_salt",
    "prompt_cache_key",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::OutputLimit;
    use crate::config::EngineKind;
    use crate::ids::Tokens;

    fn chat(body: &str) -> Result<Generation, RequestError> {
        decode(Endpoint::Chat, Bytes::copy_from_slice(body.as_bytes()), 32)
    }

    fn sent_with_room(engine: EngineKind, body: &str, room: Tokens) -> String {
        let limit = OutputLimit {
            room,
            surely_left: room,
            most: None,
        };
        let sent = chat(body).unwrap().body_for("served", engine, &limit);
        String::from_utf8(sent.to_vec()).unwrap()
    }

    fn sent(body: &str) -> String {
        sent_with_room(EngineKind::Vllm, body, Tokens(u64::MAX))
    }

    const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

    #[test]
    fn only_the_model_and_what_asks_for_a_stream_and_its_usage_change() {
        let plain =
            |more: &str| format!(r#"{{ "temperature":1.0e0, "model" : "m", {MESSAGES}{more}, "x":{{"model":"m"}} }}"#);
        let stream = |more: &str| {
            let renamed = plain(more).replacen("\"m\"", "\"served\"", 1);
            renamed.replacen(" }", " ,\"stream_options\":{\"include_usage\":true}}", 1)
        };
        let absent = stream("").replacen(" ,\"stream_options\"", " ,\"stream\":true,\"stream_options\"", 1);
        assert_eq!(sent(&plain("")), absent);
        for wish in ["false", "null", "true"] {
            let asked_for = stream(r#", "stream" :true"#);
            assert_eq!(sent(&plain(&format!(r#", "stream" :{wish}"#))), asked_for, "{wish}");
        }
        let whole = plain(r#","stream":false,"echo":true"#);
        assert_eq!(sent(&whole), whole.replacen("\"m\"", "\"served\"", 1));
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
    fn counts_with_a_fraction_of_zero_are_sent_without_it() {
        let body =
            format!(r#"{{"model":"served",{MESSAGES},"max_tokens":16.0,"temperature":1.0,"n": 2e0,"echo":true}}"#);
        let request = chat(&body).unwrap();
        assert_eq!((request.max_output, request.choices), (Some(16), 2));
        let expected = body.replace("16.0", "16").replace("2e0", "2");
        assert_eq!(sent(&body), expected);
        for wrong in ["16.5", "-2", "-0.5", "1e300", "\"16\"", "true", "[16]"] {
            let error = chat(&body.replace("16.0", wrong)).unwrap_err().to_string();
            assert!(error.contains("`max_tokens`"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_bound_of_minus_one_is_none_and_goes_to_engines_that_know_it() {
        for written in ["-1", "-1.0"] {
            let body = format!(
                r#"{{"model":"served",{MESSAGES},"max_tokens":{written},"max_completion_tokens":9,"echo":true}}"#
            );
            let request = chat(&body).unwrap();
            assert_eq!(request.max_output, None);
            let to_llama_cpp = sent_with_room(EngineKind::LlamaCpp, &body, Tokens(37));
            assert_eq!(to_llama_cpp, body);
            assert_eq!(sent(&body), body.replace(written, "null"));
        }
    }

    #[test]
    fn embeddings_are_of_an_input_or_of_messages() {
        let embed = |body: &str| decode(Endpoint::Embeddings, Bytes::copy_from_slice(body.as_bytes()), 32);
        let request = embed(&format!(r#"{{"model":"m",{MESSAGES}}}"#)).unwrap();
        assert_eq!(
            request.prompt_json().collect::<Vec<_>>(),
            [br#"[{"role":"user","content":"hi"}]"#]
        );
        assert!(embed(r#"{"model":"m","input":["a"]}"#).is_ok());
        for (body, expected) in [
            (r#"{"model":"m"}"#, "`input`"),
            (r#"{"model":"m","input":7}"#, "`input`"),
            (r#"{"model":"m","messages":[]}"#, "`messages`"),
            (r#"{"model":"m","messages":["a"]}"#, "`messages`"),
        ] {
            let error = embed(body).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }

    #[test]
    fn the_largest_bound_counts() {
        let body = format!(
            r#"{{"model":"m",{MESSAGES},"max_tokens":1,"max_completion_tokens":900,"max_output_tokens":null}}"#
        );
        assert_eq!(chat(&body).unwrap().max_output, Some(900));
    }

    #[test]
    fn bounds_beyond_what_is_left_are_cut_to_it() {
        let body = |max_tokens: u64, max_completion_tokens: u64| {
            format!(
                r#"{{"max_tokens" : {max_tokens},"model":"m","echo":true,{MESSAGES},"max_completion_tokens":{max_completion_tokens} }}"#
            )
        };
        for (written, expected) in [((1, 37), (1, 37)), ((38, 37), (37, 37)), ((u64::MAX, 1_000), (37, 37))] {
            assert_eq!(
                sent_with_room(EngineKind::Vllm, &body(written.0, written.1), Tokens(37)),
                body(expected.0, expected.1).replacen("\"m\"", "\"served\"", 1)
            );
        }
    }

    #[test]
    fn messages_are_found_with_their_roles_as_they_stand() {
        let body = r#"{"model":"m","messages":[ {"role":"system"} , {"role":"user","a":1},{"role":"assistant"}]}"#;
        let request = chat(body).unwrap();
        let found = request
            .messages()
            .map(|(json, role)| (std::str::from_utf8(json).unwrap(), role));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [
                (r#"{"role":"system"}"#, Role::Other),
                (r#"{"role":"user","a":1}"#, Role::User),
                (r#"{"role":"assistant"}"#, Role::Assistant)
            ]
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
                r#"{"model":"m","messages":[{"role":"user"}],"stream_options":{"include_usage":true,"include_usage":false}}"#,
                "`stream_options.include_usage`",
            ),
            (
                r#"{"model":"m","messages":[{"role":"user"}],"stream":"yes"}"#,
                "`stream`",
            ),
            (
                r#"{"model":"m","messages":[{"role":"user"}],"max_tokens":-2}"#,
                "`max_tokens`",
            ),
            (r#"{"model":"m","messages":[{"role":"user"}],"n":-1}"#, "`n`"),
            (r#"{"model":"m","messages":[{"role":"user"}],"n":0}"#, "`n`"),
            (r#"{"model":"m","messages":[{"role":"user"}],"n":16385}"#, "`n`"),
            (
                r#"{"model":"m","messages":[{"role":"user"}],"best_of":"2"}"#,
                "`best_of`",
            ),
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
            decode(Endpoint::Chat, Bytes::from_static(b"{\"model\":\"\xff\"}"), 32),
            Err(RequestError::NotJson { .. })
        ));
    }
}
