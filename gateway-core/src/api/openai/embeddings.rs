//! Embeddings taken apart and put together, so that each input's is kept by itself. Every number is as its engine wrote it.

use std::borrow::Cow;

use bytes::Bytes;

use crate::api::endpoint::Endpoint;
use crate::api::json_cursor::JsonCursor;
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

/// The embeddings in an answer as they are written, in the order of their inputs; `None` where it has not as many.
pub fn embeddings(body: &str, count: usize) -> Option<Vec<&str>> {
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
        *place = Some(item.given("embedding")?);
    }
    found.into_iter().collect()
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
    fn embeddings_are_found_by_their_index_and_put_in_order() {
        let body = r#"{"object":"list","data":[{"index":1,"embedding":"AAA="},{"object":"embedding","embedding":[0.10, 1e-3],"index":0}],"usage":{"prompt_tokens":3}}"#;
        let found = embeddings(body, 2).unwrap();
        assert_eq!(found, ["[0.10, 1e-3]", "\"AAA=\""]);
        for count in [1, 3] {
            assert_eq!(embeddings(body, count), None);
        }
        assert_eq!(embeddings(&body.replace("\"index\":0", "\"index\":1"), 2), None);
        let all = joined(Some(body), "m", &[found[1], "[7]", found[0]]).unwrap();
        let expected = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AAA="},{"object":"embedding","index":1,"embedding":[7]},{"object":"embedding","index":2,"embedding":[0.10, 1e-3]}],"usage":{"prompt_tokens":3}}"#;
        assert_eq!(all, expected);
        let none = joined(None, "m", &["[7]"]).unwrap();
        let expected = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[7]}],"model":"m","usage":{"prompt_tokens":0,"total_tokens":0}}"#;
        assert_eq!(none, expected);
    }
}
