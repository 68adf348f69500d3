//! Stands in for the chat template until it is merged.
#![expect(missing_docs, reason = "goes away with the merge")]

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
