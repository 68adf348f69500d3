//! What of a request those want to know who watch the answer to it. Nothing is copied: all are parts of the body.

use bytes::Bytes;

use super::endpoint::Endpoint;
use super::json_fields::Fields;
use super::request::{Generation, Role};
use crate::detect::{Subject, ToolContext};
use crate::ids::Tokens;

impl Generation {
    /// What an answer is to be held against that may take so much.
    pub fn subject(&self, room: Tokens) -> Subject {
        Subject {
            tools: self.tool_context(),
            instructions: self.instructions().map(|json| self.part(json)),
            prompt: self.prompt_json().last().map(|json| self.part(json)),
            may_be_empty: self.may_be_empty(),
            room_tokens: self.max_output.map_or(room.0, |most| most.min(room.0)),
        }
    }

    fn tool_context(&self) -> ToolContext {
        let tools = self.tools_json().map(|json| self.part(json));
        let functions = self.answer_param("functions").map(|json| self.part(json));
        let has_any = tools.is_some() || functions.is_some();
        ToolContext {
            tools,
            functions,
            last_messages: has_any.then(|| self.last_messages()).flatten(),
        }
    }

    /// The last messages, as far as they do not take too much, with what stands between them.
    fn last_messages(&self) -> Option<Bytes> {
        let end = self.messages.last()?.span.end;
        let last = self.messages.iter().rev().take(MOST_MESSAGES);
        let begin = last.map(|message| message.span.start);
        let begin = begin.take_while(|begin| end - begin <= MOST_MESSAGES_BYTES).last()?;
        Some(self.body.slice(begin..end))
    }

    /// The text that says what to do: that of a message which does nothing else or, where there is none, all that the user has
    /// said. Where turns went before, the instructions may stand in any of them.
    fn instructions(&self) -> Option<&[u8]> {
        match self.endpoint {
            Endpoint::Chat => {
                let (first, role) = self.messages().next()?;
                let message = Fields::parse(std::str::from_utf8(first).ok()?).ok()?;
                let is_for_that = matches!(message.get("role"), Some("\"system\"" | "\"developer\""));
                let is_all = role == Role::User && self.messages.len() == 1;
                let content = message.given("content").filter(|_| is_for_that || is_all);
                content.map(str::as_bytes)
            }
            Endpoint::Completions if self.answer_param("echo") == Some(b"true") => None,
            Endpoint::Completions => self.prompt_param("prompt"),
            Endpoint::Embeddings => None,
        }
    }

    /// Completions may have nothing to add, and so may an answer that the client has begun itself, or that ends where the client
    /// says; and what is to be heard is no text.
    fn may_be_empty(&self) -> bool {
        let is_begun = self.messages.last().is_some_and(|last| last.role == Role::Assistant);
        let is_chat = self.endpoint == Endpoint::Chat;
        let is_free = |param| self.answer_param(param).is_some();
        !is_chat || is_begun || self.max_output == Some(0) || is_free("stop") || is_free("modalities")
    }

    /// The JSON of a parameter that is about the answer, unless it is null.
    fn answer_param(&self, param: &str) -> Option<&[u8]> {
        let json = self.body.get(self.answer_spans.get(param)?)?;
        (json != b"null").then_some(json)
    }

    /// A part of the body, on its own.
    fn part(&self, json: &[u8]) -> Bytes {
        self.body.slice_ref(json)
    }
}

/// Parameters that are about the answer, and that nothing but who watches it wants to know.
pub(super) const ANSWER_PARAMS: &[&str] = &["functions", "stop", "echo", "modalities"];
/// Whoever makes the same call over and over makes it in the last few turns; each takes two messages.
const MOST_MESSAGES: usize = 16;
/// What these may take, in bytes.
const MOST_MESSAGES_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Dialect;

    fn subject(endpoint: Endpoint, body: &str) -> Subject {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = Dialect::decode(endpoint, body, 32).expect("a request");
        request.subject(Tokens(100))
    }

    fn chat(messages: &str) -> Subject {
        subject(Endpoint::Chat, &format!(r#"{{"model":"m","messages":[{messages}]}}"#))
    }

    fn text(json: Option<Bytes>) -> String {
        json.map_or_else(String::new, |json| String::from_utf8_lossy(&json).into_owned())
    }

    const SYSTEM: &str = r#"{"role":"system","content":"be terse"}"#;
    const USER: &str = r#"{"role":"user","content":"hi \u00e9"}"#;
    const ASSISTANT: &str = r#"{"role":"assistant","content":"so"}"#;

    #[test]
    fn instructions_are_those_of_the_system_or_all_that_the_user_has_said() {
        for (messages, expected) in [
            (USER.to_owned(), r#""hi \u00e9""#),
            (format!("{SYSTEM},{USER}"), r#""be terse""#),
            (SYSTEM.replace("system", "developer") + "," + USER, r#""be terse""#),
            (format!("{USER},{ASSISTANT},{USER}"), ""),
            (format!("{USER},{USER}"), ""),
        ] {
            assert_eq!(text(chat(&messages).instructions), expected, "{messages}");
        }
        let completion = |more: &str| subject(Endpoint::Completions, &format!(r#"{{"model":"m","prompt":"a"{more}}}"#));
        assert_eq!(text(completion("").instructions), r#""a""#);
        assert_eq!(text(completion(r#","echo":true"#).instructions), "");
    }

    #[test]
    fn where_nothing_may_be_an_answer_none_is_missed() {
        let is_free = |subject: Subject| subject.may_be_empty;
        assert!(!is_free(chat(USER)));
        assert!(is_free(chat(&format!("{USER},{ASSISTANT}"))));
        for (more, expected) in [
            (r#","stop":["\n"]"#, true),
            (r#","stop":null"#, false),
            (r#","max_tokens":0"#, true),
        ] {
            let body = format!(r#"{{"model":"m","messages":[{USER}]{more}}}"#);
            assert_eq!(is_free(subject(Endpoint::Chat, &body)), expected, "{more}");
        }
        assert!(is_free(subject(Endpoint::Completions, r#"{"model":"m","prompt":"a"}"#)));
    }

    #[test]
    fn the_last_messages_are_there_where_there_are_tools() {
        let body = |more: &str, count| {
            let messages = vec![USER; count].join(" ,\n");
            format!(r#"{{"model":"m","max_tokens":7,"messages":[{messages}]{more}}}"#)
        };
        let of = |more: &str, count| subject(Endpoint::Chat, &body(more, count));
        assert_eq!(of("", 2).tools.last_messages, None);
        let with = of(r#","functions":[{"name":"f"}]"#, 2);
        assert_eq!(text(with.tools.last_messages), format!("{USER} ,\n{USER}"));
        assert_eq!(
            (text(with.tools.functions).as_str(), with.room_tokens),
            (r#"[{"name":"f"}]"#, 7)
        );
        let many = of(r#","tools":[{"type":"function","function":{"name":"f"}}]"#, 40);
        assert_eq!(text(many.tools.last_messages).matches("user").count(), MOST_MESSAGES);
    }
}
