//! An engine's error, in whichever shape it tells of it: in the body of a refusal, in the place of an answer, or inside a
//! stream that began with status 200. It is read leniently, and decides whose fault it is.
//!
//! Shapes: `{"error":{"message","code"}}` (OpenAI, vLLM, SGLang, llama.cpp; TGI with `http_status_code`),
//! `{"error":"…","error_type":"…"}` (TGI), `{"object":"error","message"}` (SGLang outside of streams; vLLM until 2025), `{"detail":…}`
//! (FastAPI), `{"message","code"}`, and plain text.

use std::borrow::Cow;

use bytes::Bytes;
use thiserror::Error;

use super::json_cursor::string;
use super::json_fields::Fields;

/// An error as an engine tells of it. What is displayed is fit for a log: it is short, and without what engines quote of
/// requests.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", self.for_log())]
pub struct EngineError {
    /// The status that it would have had outside of an answer, where it says one.
    status: Option<u16>,
    /// Its own words, of at most [`WORDS_CHARS`] characters.
    words: String,
    is_overflow: bool,
    /// All that it told.
    told: Bytes,
}

impl EngineError {
    /// What `told` says: JSON in one of the shapes, or plain text.
    pub fn read(told: &[u8]) -> Self {
        let text = String::from_utf8_lossy(told);
        let outer = Fields::parse(&text).ok();
        let inner = outer
            .as_ref()
            .and_then(|outer| Fields::parse(outer.given("error")?).ok());
        let levels = Levels([inner.as_ref(), outer.as_ref()]);
        let words = levels.words();
        let words = words.as_deref().unwrap_or(&text).trim();
        let is_overflow = levels.names().any(|name| OVERFLOWS.contains(&name.as_str()))
            || OVERFLOW_WORDS.iter().any(|overflow| words.contains(overflow));
        let status = if is_overflow { Some(400) } else { levels.status() };
        Self {
            status,
            words: words.chars().take(WORDS_CHARS).collect(),
            is_overflow,
            told: Bytes::copy_from_slice(told),
        }
    }

    /// The engine gave up in the middle of an answer, and says no more of it than that reason to finish.
    pub(super) fn finished(reason: &str) -> Self {
        Self {
            status: None,
            words: ["the answer finished with ", reason].concat(),
            is_overflow: false,
            told: Bytes::new(),
        }
    }

    /// The status that it would have had outside of an answer, where it says one: 400 to 599.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// What the engine says, for whoever sent the request.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// All that the engine told, as it told it.
    pub fn into_told(self) -> Bytes {
        self.told
    }

    /// Whether the prompt is longer than the engine's context.
    pub fn is_overflow(&self) -> bool {
        self.is_overflow
    }

    /// The status to reject the request with, where the request is wrong: another engine would say the same.
    pub fn clients_fault(&self) -> Option<u16> {
        match self.status? {
            status @ (400 | 413 | 415 | 422) => Some(status),
            // The operator's mistake, a matter of time or of load, and what TGI calls a failed generation.
            401 | 403 | 404 | 408 | 424 | 429 | 499 => None,
            405..=498 => Some(400),
            _ => None,
        }
    }

    fn for_log(&self) -> String {
        let visible = |char: char| if char.is_control() { ' ' } else { char };
        let words: String = unquoted(&self.words).chars().take(LOG_CHARS).map(visible).collect();
        match self.status {
            Some(status) => format!("{status}: {words}"),
            None => words,
        }
    }
}

/// The fields of an error object, and of the object around it: either may be missing, and each may say each thing.
struct Levels<'f, 'a>([Option<&'f Fields<'a>>; 2]);

impl<'a> Levels<'_, 'a> {
    /// All values of members of these names that are there, those of the first name before those of the next.
    fn values<'n>(&self, names: &'n [&'n str]) -> impl Iterator<Item = &'a str> {
        let levels = || self.0.iter().flatten();
        names
            .iter()
            .flat_map(move |name| levels().filter_map(move |level| level.given(name)))
    }

    fn words(&self) -> Option<Cow<'a, str>> {
        let told = self.values(&["message", "error", "detail", "msg"]);
        told.filter_map(text_of).find(|text| !text.is_empty())
    }

    fn status(&self) -> Option<u16> {
        if self.is_any_of_tgi() {
            return None;
        }
        let numbers = self.values(&["http_status_code", "status_code", "code", "status"]);
        let number = |json: &str| json.trim_matches('"').parse().ok();
        numbers
            .filter_map(number)
            .find(|status| (400..600).contains(status))
            .or_else(|| self.names().find_map(|name| status_named(&name)))
    }

    /// Whether it is an error within a stream of TGI's, which gives all of them status 422 and no type there, and does not
    /// say in its first words that the request is wrong (TGI 3.3, `router/src/infer/mod.rs`).
    fn is_any_of_tgi(&self) -> bool {
        let has = |name: &'static str| self.values(&[name]).next().is_some();
        let is_clients = |words: Cow<'_, str>| TGI_CLIENTS_FAULTS.iter().any(|fault| words.starts_with(fault));
        has("http_status_code") && !has("error_type") && !self.words().is_some_and(is_clients)
    }

    /// The words by which programs know it, in small letters without anything between.
    fn names(&self) -> impl Iterator<Item = String> {
        let values = self.values(&["error_type", "type", "code", "status"]);
        values.filter_map(string).map(|name| {
            let letters = name.chars().filter(char::is_ascii_alphabetic);
            letters.map(|letter| letter.to_ascii_lowercase()).collect()
        })
    }
}

/// A string, or what FastAPI lists: objects with a `msg` each.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    if !json.starts_with('[') {
        return string(json);
    }
    #[derive(serde::Deserialize)]
    struct Listed {
        msg: String,
    }
    let listed: Vec<Listed> = serde_json::from_str(json).ok()?;
    let messages: Vec<String> = listed.into_iter().map(|listed| listed.msg).collect();
    Some(messages.join("; ").into())
}

/// The status of an error of that name, where the name says whose fault it is.
fn status_named(name: &str) -> Option<u16> {
    match name {
        "badrequest" | "badrequesterror" | "invalidrequest" | "invalidrequesterror" | "invalidargument" => Some(400),
        "validation" | "validationerror" | "unprocessableentity" | "unprocessableentityerror" => Some(422),
        _ => None,
    }
}

/// The first line of `words` without what stands in quotes or brackets: there engines put what they were sent. From the
/// first opening to the last closing one, as what was sent may hold some too.
fn unquoted(words: &str) -> String {
    let mut rest = words.lines().next().unwrap_or_default();
    let mut kept = String::new();
    while let Some((open, close)) = opening(rest) {
        kept.push_str(&rest[..open]);
        kept.push('…');
        let end = rest.rfind(close).filter(|end| *end > open);
        rest = end.map_or("", |end| &rest[end + close.len_utf8()..]);
    }
    kept + rest
}

/// Where the first quote or bracket opens, and what closes it. An apostrophe within a word opens nothing.
fn opening(text: &str) -> Option<(usize, char)> {
    let mut before = ' ';
    text.char_indices().find_map(|(at, char)| {
        let is_within_word = std::mem::replace(&mut before, char).is_alphanumeric();
        let close = match char {
            '"' | '`' => char,
            '\'' if !is_within_word => char,
            '[' => ']',
            '{' => '}',
            '<' => '>',
            '\u{201c}' => '\u{201d}',
            _ => return None,
        };
        Some((at, close))
    })
}

/// Names of the error that a prompt is longer than the context: llama.cpp's, which has come with status 500 as well, and
/// OpenAI's.
const OVERFLOWS: [&str; 2] = ["exceedcontextsizeerror", "contextlengthexceeded"];
/// What errors say of it that have no such name: those of OpenAI and vLLM, of SGLang, of TGI.
const OVERFLOW_WORDS: [&str; 3] = [
    "maximum context length",
    "longer than the model's context length",
    "`max_new_tokens` must be <=",
];
/// How TGI's errors begin that are the client's fault.
const TGI_CLIENTS_FAULTS: [&str; 3] = ["Input validation error", "Template error", "Tool error"];
/// The most that is kept of an engine's words.
const WORDS_CHARS: usize = 1_000;
/// The most of them that a log shows.
const LOG_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(told: &str) -> EngineError {
        EngineError::read(told.as_bytes())
    }

    #[test]
    fn a_clients_fault_is_known_in_every_shape() {
        for (told, status) in [
            (r#"{"error":{"message":"long","code":400}}"#, 400),
            (
                r#"{"error":{"object":"error","message":"long","type":"BadRequestError","code":400}}"#,
                400,
            ),
            (r#"{"error":{"message":"long","status":"400"}}"#, 400),
            (r#"{"error":"long","error_type":"validation"}"#, 422),
            (r#"{"error":"long","code":413}"#, 413),
            (
                r#"{"object":"error","message":"long","type":"BadRequestError","code":400}"#,
                400,
            ),
            (r#"{"message":"long","code":418}"#, 400),
            (r#"{"code":400,"message":"long","type":"invalid_request_error"}"#, 400),
            (
                r#"{"error":{"message":"long","type":"invalid_request_error","code":null}}"#,
                400,
            ),
            (
                r#"{"detail":[{"msg":"lo","input":"x"},{"msg":"ng"}],"status_code":422}"#,
                422,
            ),
        ] {
            let error = read(told);
            assert_eq!(error.words().replace("; ", ""), "long", "{told}");
            assert_eq!(
                (error.clients_fault(), error.is_overflow()),
                (Some(status), false),
                "{told}"
            );
        }
    }

    #[test]
    fn a_prompt_that_is_too_long_is_known_by_name_or_by_words() {
        for told in [
            r#"{"error":{"code":500,"type":"exceed_context_size_error","message":"long"}}"#,
            r#"{"error":{"message":"This model's maximum context length is 8 tokens.","code":400}}"#,
            r#"{"object":"error","message":"The input (9 tokens) is longer than the model's context length (8 tokens).","code":400}"#,
            r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8.","error_type":"validation"}"#,
        ] {
            let error = read(told);
            assert_eq!(
                (error.is_overflow(), error.clients_fault()),
                (true, Some(400)),
                "{told}"
            );
        }
    }

    #[test]
    fn tgi_s_words_tell_whose_fault_an_error_in_a_stream_is() {
        for (words, fault) in [
            ("Input validation error: too long", Some(422)),
            ("Template error: no system role", Some(422)),
            ("Request failed during generation: out of memory", None),
            ("Model is overloaded", None),
        ] {
            let error = read(&format!(
                r#"{{"error":{{"message":"{words}","http_status_code":422}}}}"#
            ));
            assert_eq!((error.words(), error.clients_fault()), (words, fault));
        }
    }

    #[test]
    fn any_other_error_is_the_engines_and_told_in_its_words() {
        for (told, words) in [
            (r#"{"detail":"boom"}"#, "boom"),
            (r#"{"error":{"message":"boom","code":500}}"#, "boom"),
            (r#"{"error":{"message":"boom","type":"server_error"}}"#, "boom"),
            (r#"{"error":"boom"}"#, "boom"),
            (
                r#"{"error":"boom","error_type":"generation","http_status_code":424}"#,
                "boom",
            ),
            (r#"{"error":{"message":"boom","code":429}}"#, "boom"),
            (r#"{"error":{"message":"","code":500},"detail":"boom"}"#, "boom"),
            (r#"{"error":{"reason":1}}"#, r#"{"error":{"reason":1}}"#),
            ("boom", "boom"),
            ("", ""),
        ] {
            let error = read(told);
            assert_eq!((error.words(), error.clients_fault()), (words, None), "{told}");
        }
    }

    #[test]
    fn what_only_waiting_or_the_operator_can_mend_is_not_the_clients_fault() {
        for status in [401, 403, 404, 408, 424, 429, 499, 500, 503] {
            let told = format!(r#"{{"error":{{"message":"x","code":{status},"type":"invalid_request_error"}}}}"#);
            assert_eq!(read(&told).clients_fault(), None, "{status}");
        }
    }

    #[test]
    fn an_overflow_of_the_context_is_the_clients_whatever_status_it_comes_with() {
        for code in ["400", "500"] {
            let told = format!(
                r#"{{"error":{{"code":{code},"message":"the request exceeds the available context size",
                "type":"exceed_context_size_error","n_prompt_tokens":1407,"n_ctx":256}}}}"#
            );
            let error = read(&told);
            assert_eq!(
                (error.clients_fault(), error.is_overflow()),
                (Some(400), true),
                "{code}"
            );
        }
        assert!(read(r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#).is_overflow());
    }

    #[test]
    fn a_log_shows_little_of_the_words_and_nothing_that_is_quoted() {
        for (told, logged) in [
            (
                r#"{"error":{"message":"CUDA out of memory.\u001b[2J Tried to\tallocate","code":500}}"#,
                "500: CUDA out of memory. …",
            ),
            (r#"{"error":"a \"secret\" b 'c' d"}"#, "a … b … d"),
            (r#"{"error":"got 'it's \"me\"' here"}"#, "got … here"),
            (
                r#"{"error":"the model's context [{'input': 'secret]'}] is short"}"#,
                "the model's context … is short",
            ),
            (r#"{"error":"unclosed {\"a\": secret"}"#, "unclosed …"),
            (r#"{"error":"first\nsecret"}"#, "first"),
        ] {
            assert_eq!(read(told).to_string(), logged, "{told}");
        }
        let long = format!(r#"{{"error":"{}"}}"#, "é".repeat(5_000));
        assert_eq!(read(&long).to_string().chars().count(), LOG_CHARS);
        assert_eq!(read(&long).words().chars().count(), WORDS_CHARS);
    }
}
