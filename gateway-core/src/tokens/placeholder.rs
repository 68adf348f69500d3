//! Stands in for the table, its encoder and the chat template until they are merged.
#![expect(missing_docs, reason = "goes away with the merge")]

use bytes::Bytes;
use thiserror::Error;

use crate::ids::Tokens;

#[derive(Clone, Debug)]
pub struct Table;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a table")]
pub struct TableError;

impl Table {
    pub fn open(_bytes: Bytes) -> Result<Self, TableError> {
        Err(TableError)
    }

    pub fn count(&self, text: &str) -> Tokens {
        Tokens(text.len() as u64 / 4)
    }

    pub fn text_of(&self, _token: u32) -> String {
        String::new()
    }

    pub fn encode(&self, _text: &str, _each: impl FnMut(u32)) {}

    pub fn wrapping(&self) -> Wrapping<'_> {
        Wrapping {
            before: &[],
            after: &[],
        }
    }

    pub fn chat(&self) -> Option<ChatSource<'_>> {
        None
    }
}

pub struct Wrapping<'a> {
    pub before: &'a [u32],
    pub after: &'a [u32],
}

impl Wrapping<'_> {
    pub fn count(&self) -> Tokens {
        Tokens((self.before.len() + self.after.len()) as u64)
    }
}

pub struct ChatSource<'a> {
    pub template: &'a str,
    pub special_tokens: &'a [(String, String)],
    pub content: template::ContentFormat,
}

pub mod template {
    use serde_json::value::RawValue;
    use thiserror::Error;

    use crate::time::Timestamp;

    #[derive(Debug)]
    pub struct ChatTemplate;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ContentFormat {
        Text,
        Parts,
    }

    #[derive(Clone, Copy, Debug)]
    pub struct Chat<'a> {
        pub messages: &'a RawValue,
        pub tools: Option<&'a RawValue>,
        pub documents: Option<&'a RawValue>,
        pub chat_template_kwargs: Option<&'a RawValue>,
        pub reasoning_effort: Option<&'a RawValue>,
        pub ending: Ending,
        pub reader: Reader,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Ending {
        Message,
        Answer,
        Continuation,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Reader {
        Transformers,
        Vllm,
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Rendered {
        pub text: String,
        pub media: Media,
    }

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Media {
        pub images: u32,
        pub audios: u32,
        pub videos: u32,
    }

    #[derive(Clone, Debug, PartialEq, Eq, Error)]
    pub enum TemplateError {
        #[error("{message}")]
        Refused { message: String },
        #[error("failed")]
        Fuel,
    }

    impl ChatTemplate {
        pub fn compile<'s>(
            _source: &str,
            _special_tokens: impl IntoIterator<Item = (&'s str, &'s str)>,
            _content: ContentFormat,
        ) -> Result<Self, TemplateError> {
            Ok(Self)
        }

        pub fn render(&self, _chat: &Chat<'_>, _now: Timestamp) -> Result<Rendered, TemplateError> {
            Err(TemplateError::Fuel)
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Running(String);

impl Running {
    pub fn push(&mut self, _table: &Table, part: &str) {
        self.0.push_str(part);
    }

    pub fn total(&self, table: &Table) -> Tokens {
        table.count(&self.0)
    }
}
