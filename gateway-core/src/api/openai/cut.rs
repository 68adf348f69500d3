//! How a stream ends that is cut: each answer as if the model had ended it, and the usage, in chunks like those that came.

use serde_json::json;

use crate::api::answer::Usage;
use crate::api::json_fields::Fields;
use crate::api::sse::data_event;

/// What all chunks of a stream have in common.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Its members as JSON, each with a comma behind it.
    members: String,
    is_completion: bool,
}

impl Frame {
    /// Of a stream with that chunk; `None` of what is none.
    pub fn of(chunk: &str, is_completion: bool) -> Option<Self> {
        let fields = Fields::parse(chunk).ok()?;
        let members = MEMBERS.iter().filter_map(|name| Some((name, fields.given(name)?)));
        let members = members.map(|(name, json)| format!("\"{name}\":{json},")).collect();
        Some(Self { members, is_completion })
    }

    /// Writes that the model has ended that answer.
    pub fn write_stop(&self, choice: u64, out: &mut Vec<u8>) {
        let said = if self.is_completion {
            r#""text":"""#
        } else {
            r#""delta":{}"#
        };
        let choice = format!(r#"{{"index":{choice},{said},"logprobs":null,"finish_reason":"stop"}}"#);
        data_event(&format!(r#"{{{}"choices":[{choice}]}}"#, self.members), out);
    }

    /// Writes what the answer took.
    pub fn write_usage(&self, usage: Usage, out: &mut Vec<u8>) {
        let Usage {
            prompt_tokens,
            completion_tokens,
            cached_tokens: _,
        } = usage;
        let usage = json!({
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens.saturating_add(completion_tokens),
        });
        data_event(&format!(r#"{{{}"choices":[],"usage":{usage}}}"#, self.members), out);
    }
}

const MEMBERS: [&str; 5] = ["id", "object", "created", "model", "system_fingerprint"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_like_what_came() {
        let chunk = r#"{"id":"x","created":7,"model":"public","choices":[{"delta":{"content":"a"}}],"usage":null}"#;
        let mut out = Vec::new();
        let frame = Frame::of(chunk, false).expect("a chunk");
        frame.write_stop(2, &mut out);
        let usage = Usage {
            prompt_tokens: 3,
            cached_tokens: None,
            completion_tokens: 4,
        };
        frame.write_usage(usage, &mut out);
        Frame::of(chunk, true).expect("a chunk").write_stop(0, &mut out);
        let head = r#"data: {"id":"x","created":7,"model":"public","choices":["#;
        let expected = [
            r#"{"index":2,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
            r#"],"usage":{"completion_tokens":4,"prompt_tokens":3,"total_tokens":7}}"#,
            r#"{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]}"#,
        ];
        let expected = expected.map(|chunk| format!("{head}{chunk}\n\n")).concat();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(Frame::of("[7]", false).is_none());
    }
}
