//! Chat templates: what a model's tokenizer says about how a conversation becomes one prompt. Rendered as
//! transformers' `apply_chat_template(tokenize=False)` does it (`utils/chat_template_utils.py`), with what vLLM does
//! to a request's messages before (`renderers/`, `entrypoints/openai/chat_completion/protocol.py`); both as of
//! transformers 5 and vLLM 0.32 and 0.33.
//!
//! A conversation cannot make rendering run without bound, and neither can a template, except by joining (`~`) a list
//! to text that it has put into itself many times over: templates are the operator's. No error repeats the conversation, except
//! what the template itself says when it refuses one.

mod attribution;
#[cfg(feature = "compile")]
mod content;
mod continuation;
mod conversation;
mod environment;
mod message;
mod parts;
mod print;
mod python;
mod read;
mod strftime;
mod to_json;
mod tools;

use minijinja::{Environment, ErrorKind};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use crate::api::Ending;
use crate::time::Timestamp;

#[cfg(feature = "compile")]
pub use content::content_format;
use continuation::Continuation;
pub use read::ReadError;

/// A template, compiled.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    content: ContentFormat,
    /// Whether it tells developers from the system.
    knows_developers: bool,
    /// Whether it reads the messages' content at all.
    reads_content: bool,
}

/// How a template wants the content of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentFormat {
    /// As text.
    Text,
    /// As a list of parts, `{"type": "text", "text": …}`.
    Parts,
}

/// What of a request goes into its prompt, as the client wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Chat<'a> {
    /// An array of objects.
    pub messages: &'a str,
    /// An array of objects, or null.
    pub tools: Option<&'a str>,
    /// An array of objects, or null.
    pub documents: Option<&'a str>,
    /// An object of further variables for the template, or null.
    pub chat_template_kwargs: Option<&'a str>,
    /// A string, or null.
    pub reasoning_effort: Option<&'a str>,
    /// How the prompt ends.
    pub ending: Ending,
    /// Who is to read it.
    pub reader: Reader,
}

/// Who reads a request before the template does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// transformers: messages and tools are what they are.
    Transformers,
    /// vLLM's chat endpoint, which makes them uniform first.
    Vllm,
}

/// A prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// It, as text.
    pub text: String,
    /// What is in it beside text.
    pub media: Media,
    /// Whether some versions of vLLM would make another prompt of the conversation, by their rules for messages.
    pub versions_differ: bool,
}

/// Parts of messages that are no text. How many tokens they take, only the model knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// How many images.
    pub images: u32,
    /// How many pieces of sound.
    pub audios: u32,
    /// How many films.
    pub videos: u32,
}

/// Why there is no prompt.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// The template is none, or has what this engine does not know.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// In the engine's words.
        reason: String,
    },
    /// The template refuses the conversation. An engine answers 400 with this message, which may quote the
    /// conversation: it is for the client, not for a log.
    #[error("{message}")]
    Refused {
        /// In the template's words, or in those of transformers.
        message: String,
    },
    /// A part of the request is not what it should be.
    #[error("{part}: {source}")]
    Unreadable {
        /// Its name in the request.
        part: &'static str,
        /// What is wrong.
        source: ReadError,
    },
    /// A message is not what a chat endpoint takes.
    #[error("messages: {reason}")]
    Message {
        /// What is wrong.
        reason: &'static str,
    },
    /// Rendering took more steps, or more memory, than a conversation of this size may.
    #[error("too much work for a conversation of this size")]
    Fuel,
    /// The template fails. Python would mostly fail too, but the two may differ here.
    #[error("line {line}: {kind}")]
    Failed {
        /// Counted from 1.
        line: usize,
        /// What kind of failure.
        kind: String,
    },
}

impl ChatTemplate {
    /// Compiles `source`. `special_tokens` are variables of the template, by their names in tokenizer_config.json.
    ///
    /// # Errors
    /// When the template has what this engine does not know.
    pub fn compile<'s>(
        source: &str,
        special_tokens: impl IntoIterator<Item = (&'s str, &'s str)>,
        content: ContentFormat,
    ) -> Result<Self, TemplateError> {
        let environment = environment::of(source, special_tokens).map_err(|error| TemplateError::Syntax {
            line: error.line().unwrap_or_default(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            environment,
            content,
            knows_developers: source.contains("\"developer\"") || source.contains("'developer'"),
            reads_content: source.contains("content"),
        })
    }

    /// The prompt of `chat` at the moment `now`.
    ///
    /// # Errors
    /// [`TemplateError::Refused`] when an engine would refuse the request with that message; all others say that the
    /// prompt cannot be known here.
    pub fn render(&self, chat: &Chat<'_>, now: Timestamp) -> Result<Rendered, TemplateError> {
        let conversation::Messages {
            mut messages,
            media,
            versions_differ,
        } = conversation::messages(chat, self)?;
        let continuation = match chat.ending {
            Ending::Continuation => Some(Continuation::begin(&mut messages, self.reads_content)?),
            Ending::Message | Ending::Answer => None,
        };
        let variables = conversation::variables(chat, messages, now)?;
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL + FUEL_PER_BYTE * chat.bytes()));
        let template = environment
            .get_template(environment::NAME)
            .map_err(|error| failure(&error))?;
        let text = template.render(variables).map_err(|error| failure(&error))?;
        let text = match continuation {
            Some(continuation) => continuation.end(text)?,
            None => text,
        };
        Ok(Rendered {
            text,
            media,
            versions_differ,
        })
    }
}

impl Chat<'_> {
    /// How long it is as written.
    fn bytes(&self) -> u64 {
        let others = [
            self.tools,
            self.documents,
            self.chat_template_kwargs,
            self.reasoning_effort,
        ];
        let others = others.into_iter().flatten().map(|field| field.len() as u64);
        self.messages.len() as u64 + others.sum::<u64>()
    }
}

fn failure(error: &minijinja::Error) -> TemplateError {
    if let Some(message) = environment::raised(error) {
        return TemplateError::Refused {
            message: message.to_owned(),
        };
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return TemplateError::Fuel;
    }
    TemplateError::Failed {
        line: error.line().unwrap_or_default(),
        kind: error.kind().to_string(),
    }
}

/// What any conversation may cost: a step of the engine, or 64 bytes that it writes, cost 1. Bounds both time and
/// memory.
const FUEL: u64 = 500_000;
/// What each byte of a conversation may cost beside that. Of 84 templates of real models none took 10; some look at all
/// later messages for every call of a tool.
const FUEL_PER_BYTE: u64 = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(source: &str) -> ChatTemplate {
        ChatTemplate::compile(source, [("bos_token", "<s>")], ContentFormat::Text).unwrap()
    }

    fn chat(messages: &str) -> Chat<'_> {
        Chat {
            messages,
            tools: None,
            documents: None,
            chat_template_kwargs: None,
            reasoning_effort: None,
            ending: Ending::Answer,
            reader: Reader::Vllm,
        }
    }

    fn rendered(source: &str, chat: &Chat<'_>) -> Result<String, TemplateError> {
        let rendered = template(source).render(chat, Timestamp::from_millis(1_700_000_000_000));
        rendered.map(|rendered| rendered.text)
    }

    const HI: &str = r#"[{"role":"user","content":"Hi"}]"#;

    #[test]
    fn a_prompt_is_what_the_template_makes_of_the_request() {
        let source = "{{ bos_token }}\n{% for m in messages %}\n  {% generation %}\n{{ m.role }}: {{ m.content | trim }}\n\
                      {% endgeneration %}\n{% endfor %}\n{{ strftime_now('%d %b %Y') }} {{ tools is none }} \
                      {{ add_generation_prompt }} {{ enable_thinking }} {{ reasoning_effort }}\n";
        let mut chat = chat(HI);
        chat.chat_template_kwargs = Some(r#"{"add_generation_prompt":7}"#);
        chat.reasoning_effort = Some("\"none\"");
        assert_eq!(
            rendered(source, &chat).unwrap(),
            "<s>\nuser: Hi\n14 Nov 2023 True True False none"
        );
        chat.chat_template_kwargs = Some(r#"{"enable_thinking":1,"bos_token":"B"}"#);
        chat.ending = Ending::Message;
        assert_eq!(
            rendered(source, &chat).unwrap(),
            "B\nuser: Hi\n14 Nov 2023 True False 1 none"
        );
    }

    #[test]
    fn what_a_template_raises_is_told_from_what_fails() {
        let refused = rendered(
            "{% for m in messages %}{{ raise_exception('No ' ~ m.role) }}{% endfor %}",
            &chat(HI),
        );
        let message = "No user".to_owned();
        assert_eq!(refused, Err(TemplateError::Refused { message }));
        assert!(matches!(
            rendered("\n{{ 1 + messages }}", &chat(HI)),
            Err(TemplateError::Failed { line: 2, .. })
        ));
        assert!(matches!(rendered("", &chat("[]")), Err(TemplateError::Message { .. })));
        assert!(matches!(
            rendered("", &chat("{}")),
            Err(TemplateError::Unreadable { part: "messages", .. })
        ));
        let broken = ChatTemplate::compile("a\n{% if %}", [], ContentFormat::Text);
        assert!(matches!(broken, Err(TemplateError::Syntax { line: 2, .. })));
    }

    #[test]
    fn no_template_runs_without_bound() {
        for source in [
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "{% set ns = namespace(x='aaaaaaaa') %}{% for a in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "{% set ns = namespace(x=[1]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
            "{% set ns = namespace(x=[1]) %}{% for a in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{{ 'x' * 999999999 }}",
            "{{ 'a'.replace('', 'b' * 9999).replace('b', 'c' * 9999) }}",
        ] {
            assert!(rendered(source, &chat(HI)).is_err(), "{source}");
        }
    }

    #[test]
    fn errors_do_not_repeat_the_conversation() {
        let secret = r#"[{"role":"user","content":"secret"}]"#;
        for source in [
            "{{ messages[0].content + 1 }}",
            "{{ messages[0].content.nothing() }}",
            "{{ messages[0].content | int | tojson(indent=messages[0].content) }}",
            "{{ {}[messages[0].content].x }}",
            "{{ strftime_now(messages[0].content ~ '%Q') }}",
        ] {
            let error = rendered(source, &chat(secret)).map_err(|error| format!("{error:?} {error}"));
            assert!(
                error.clone().is_err_and(|error| !error.contains("secret")),
                "{source}: {error:?}"
            );
        }
    }

    prop_compose! {
        /// Something like a message, or not.
        fn message()(
            role in prop::sample::select(vec!["\"user\"", "\"system\"", "\"assistant\"", "\"tool\"", "\"developer\"", "7"]),
            content in prop::sample::select(vec!["\"a\\n\"", "null", "[]", "[{\"type\":\"text\",\"text\":\"b\"}]", "{}", "[[1e400]]"]),
            calls in prop::sample::select(vec!["null", "[]", "[{\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":-0.0}\"}}]", "[1]", "{}"]),
        ) -> String {
            format!("{{\"role\":{role},\"content\":{content},\"tool_calls\":{calls},\"reasoning\":{content}}}")
        }
    }

    proptest! {
        #[test]
        fn no_conversation_panics(
            messages in prop::collection::vec(message(), 0..4),
            other in r#"(\{"a":\[1,"b",null\]\}|null|\[\]|\[\{"function":\{"name":"f"\}\}\]|7)"#,
            ending in prop::sample::select(vec![Ending::Message, Ending::Answer, Ending::Continuation]),
            reader in prop::sample::select(vec![Reader::Transformers, Reader::Vllm]),
            format in prop::sample::select(vec![ContentFormat::Text, ContentFormat::Parts]),
        ) {
            let source = "{{ messages }}{{ tools | tojson }}{{ documents }}{% for m in messages %}{{ m.content | trim }}\
                          {{ m.tool_calls[0].function.arguments.items() | list }}{% endfor %}";
            let template = ChatTemplate::compile(source, [], format).unwrap();
            let messages = format!("[{}]", messages.join(","));
            let other = Some(other.as_str());
            let chat = Chat {
                messages: &messages,
                tools: other,
                documents: other,
                chat_template_kwargs: other,
                reasoning_effort: other,
                ending,
                reader,
            };
            let once = template.render(&chat, Timestamp::default());
            prop_assert_eq!(once, template.render(&chat, Timestamp::default()));
        }
    }
}
