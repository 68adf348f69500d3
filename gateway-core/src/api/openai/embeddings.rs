//! Embeddings taken apart and put together, so that each input's is kept by itself. Every number is as its engine wrote it.

use std::borrow::Cow;

use bytes::Bytes;

use crate::api::endpoint::Endpoint;
use crate::api::json_cursor::{JsonCursor, string};
use crate::api::json_edits::{Edits, spliced};
use crate::api::json_fields::{Fields, span_within};
use crate::api::request::{Generation, quoted};
use crate::api::request_error::RequestError;

/// The inputs of a request as they are written: texts, or lists of tokens. `None` where it is of something else.
pub fn inputs(request: &Generation) -> Option<Vec<&str>> {
    let is_of_inputs = request.endpoint == Endpoint::Embeddings && request.prompt_param("messages").is_none();
    let input = request.prompt_param("input").filter(|_| is_of_inputs)?;
    let input = std::str::from_utf8(input).ok()?;
    let mut cursor = JsonCursor::new(input);
    if !cursor.enter(b'[') {
        return Some(vec![input]);
    }
    let mut inputs = Vec::new();
    while cursor.next() {
        inputs.push(cursor.pass());
    }
    let is_number = |input: &&str| input.starts_with(|first: char| first.is_ascii_digit());
    if !inputs.is_empty() && inputs.iter().all(is_number) {
        // The tokens of the only one.
        return Some(vec![input]);
    }
    let are_inputs = inputs.iter().all(|input| input.starts_with(['"', '[']));
    (are_inputs && !inputs.is_empty()).then_some(inputs)
}

/// The same request for these of its inputs alone, as a client would send it: its salt is the client's own, if any.
///
/// # Errors
/// When it cannot be read again, which does not happen.
pub fn with_inputs(request: &Generation, inputs: &[&str], nesting: usize) -> Result<Generation, RequestError> {
    let text = std::str::from_utf8(request.body()).unwrap_or_default();
    let fields = Fields::parse(text).map_err(|error| RequestError::NotJson {
        detail: error.to_string(),
    })?;
    let input = fields
        .get("input")
        .map(|json| span_within(text, json))
        .unwrap_or_default();
    let list: Cow<'_, str> = format!("[{}]", inputs.join(",")).into();
    let body = spliced(text.as_bytes(), &[(input, list)]);
    super::decode(request.endpoint, body.into(), nesting)
}

/// Whether the embeddings may be texts: the bytes of their numbers in base64.
pub fn takes_base64(request: &Generation) -> bool {
    let parameters = request.parameters();
    let mut formats = parameters.iter().filter(|(name, _)| name == "encoding_format");
    formats.any(|(_, format)| string(format).is_some_and(|format| format == "base64"))
}

/// The embeddings in an answer as they are written, in the order of their inputs; `None` where it has not as many, or one
/// that is none.
pub fn embeddings(body: &str, count: usize, takes_base64: bool) -> Option<Vec<&str>> {
    let data = Fields::parse(body).ok()?.get("data")?;
    let mut found = vec![None; count];
    let mut cursor = JsonCursor::new(data);
    if !cursor.enter(b'[') {
        return None;
    }
    while cursor.next() {
        let item = Fields::parse(cursor.pass()).ok()?;
        let index: usize = item.get("index")?.parse().ok()?;
        let place = found.get_mut(index).filter(|place| place.is_none())?;
        let embedding = item.given("embedding")?;
        let is_embedding = are_numbers(embedding) || takes_base64 && is_base64(embedding);
        *place = is_embedding.then_some(Some(embedding))?;
    }
    found.into_iter().collect()
}

fn are_numbers(json: &str) -> bool {
    let is_of_number = |first: char| first == '-' || first.is_ascii_digit();
    let mut cursor = JsonCursor::new(json);
    let mut count = 0;
    if cursor.enter(b'[') {
        while cursor.next() {
            if !cursor.pass().starts_with(is_of_number) {
                return false;
            }
            count += 1;
        }
    }
    count > 0
}

fn is_base64(json: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let is_whole = |text: &str| !text.is_empty() && text.len().is_multiple_of(4);
    string(json).is_some_and(|text| is_whole(&text) && text.bytes().all(is_digit))
}

/// An answer with all of these embeddings, in place of those that it has; or one that no engine had a part in.
pub fn joined(answer: Option<&str>, model: &str, embeddings: &[&str]) -> Option<Bytes> {
    let items = embeddings.iter().enumerate();
    let items: Vec<_> = items
        .map(|(index, embedding)| format!(r#"{{"object":"embedding","index":{index},"embedding":{embedding}}}"#))
        .collect();
    let data = format!("[{}]", items.join(","));
    let Some(answer) = answer else {
        let usage = r#"{"prompt_tokens":0,"total_tokens":0}"#;
        let model = quoted(model);
        return Some(format!(r#"{{"object":"list","data":{data},"model":{model},"usage":{usage}}}"#).into());
    };
    let fields = Fields::parse(answer).ok()?;
    let mut edits = Edits::new(answer);
    edits.replace(fields.get("data")?, data);
    Some(edits.apply().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Dialect;

    fn request(fields: &str) -> Generation {
        Dialect::decode(Endpoint::Embeddings, format!(r#"{{"model":"m",{fields}}}"#).into(), 32).unwrap()
    }

    #[test]
    fn inputs_are_texts_or_tokens_one_or_many() {
        for (fields, expected) in [
            (r#""input":"a\"b""#, Some(vec![r#""a\"b""#])),
            (r#""input":["a", "b"]"#, Some(vec![r#""a""#, r#""b""#])),
            (r#""input":[1, 2]"#, Some(vec!["[1, 2]"])),
            (r#""input":[[1,2], [3]]"#, Some(vec!["[1,2]", "[3]"])),
            (r#""input":["a",[1]]"#, Some(vec![r#""a""#, "[1]"])),
            (r#""input":["a",1]"#, None),
            (r#""input":[]"#, None),
            (r#""messages":[{"role":"user","content":"a"}]"#, None),
        ] {
            assert_eq!(inputs(&request(fields)), expected, "{fields}");
        }
    }

    #[test]
    fn a_request_is_for_fewer_inputs_and_all_else_is_as_it_was() {
        let before = request(r#" "dimensions": 8.0 ,"input" : ["a", "b", "c"],"x":{"input":1}"#);
        let after = with_inputs(&before, &[r#""a""#, r#""c""#], 32).unwrap();
        let expected = r#"{"model":"m", "dimensions": 8.0 ,"input" : ["a","c"],"x":{"input":1}}"#;
        assert_eq!(after.body(), expected.as_bytes());
    }

    #[test]
    fn what_is_broken_is_no_embedding() {
        let read = |embedding: &str, takes_base64| {
            let body = format!(r#"{{"data":[{{"index":0,"embedding":{embedding}}}]}}"#);
            embeddings(&body, 1, takes_base64).is_some()
        };
        for broken in [
            "[]",
            "{}",
            "[null]",
            "[1,\"2\"]",
            "[[1]]",
            "null",
            "7",
            "\"\"",
            "\"x\"",
            "\"a b=\"",
        ] {
            assert!(!read(broken, true) && !read(broken, false), "{broken}");
        }
        assert!(read("[-0.5, 1e-3]", false) && read("[1]", true) && read(r#""AA+\/""#, true));
        let asked = |format: &str| takes_base64(&request(&format!(r#""input":"a","encoding_format":{format}"#)));
        assert!(asked("\"base64\"") && !asked("\"float\"") && !asked("null"));
    }

    #[test]
    fn embeddings_are_found_by_their_index_and_put_in_order() {
        let body = r#"{"object":"list","data":[{"index":1,"embedding":"AAA="},{"object":"embedding","embedding":[0.10, 1e-3],"index":0}],"usage":{"prompt_tokens":3}}"#;
        let found = embeddings(body, 2, true).unwrap();
        assert_eq!(found, ["[0.10, 1e-3]", "\"AAA=\""]);
        for count in [1, 3] {
            assert_eq!(embeddings(body, count, true), None);
        }
        assert_eq!(embeddings(body, 2, false), None, "nobody asked for base64");
        assert_eq!(embeddings(&body.replace("\"index\":0", "\"index\":1"), 2, true), None);
        let all = joined(Some(body), "m", &[found[1], "[7]", found[0]]).unwrap();
        let expected = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AAA="},{"object":"embedding","index":1,"embedding":[7]},{"object":"embedding","index":2,"embedding":[0.10, 1e-3]}],"usage":{"prompt_tokens":3}}"#;
        assert_eq!(all, expected);
        let none = joined(None, "m", &["[7]"]).unwrap();
        let expected = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[7]}],"model":"m","usage":{"prompt_tokens":0,"total_tokens":0}}"#;
        assert_eq!(none, expected);
    }
}
