//! Stands in for the table, its encoder and the chat template until they are merged.
#![expect(missing_docs, reason = "goes away with the merge")]

use bytes::Bytes;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::ids::Tokens;
use crate::time::Timestamp;

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
    pub special_tokens: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct ChatTemplate;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    #[error("{message}")]
    Raised { message: String },
    #[error("the template cannot be rendered: {detail}")]
    Unrenderable { detail: String },
}

impl ChatTemplate {
    pub fn compile(_source: &str, _special_tokens: &[(String, String)]) -> Result<Self, TemplateError> {
        Ok(Self)
    }

    pub fn render(&self, _chat: &Chat<'_>, _now: Timestamp) -> Result<Rendered, TemplateError> {
        Err(TemplateError::Unrenderable {
            detail: "not here yet".to_owned(),
        })
    }
}

pub struct Chat<'a> {
    pub messages: &'a RawValue,
    pub tools: Option<&'a RawValue>,
    pub documents: Option<&'a RawValue>,
    pub chat_template_kwargs: Option<&'a RawValue>,
    pub add_generation_prompt: bool,
    pub continue_final_message: bool,
}

pub struct Rendered {
    pub text: String,
    pub images: u32,
    pub audios: u32,
    pub videos: u32,
}
