//! A real tokenizer in place of the simulated tokens: prompts are then as long as the model's own would be. The
//! tokenizer is Hugging Face's, the chat template is rendered by the gateway's core; nothing else of the gateway's
//! counting is used, so that counts can be compared with it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tidegate_core::time::Timestamp;
use tidegate_core::tokens::template::{Chat, ChatTemplate, Ending, Reader, TemplateError, content_format};
use tokenizers::pipeline::{EncodeOptions, PipelineTokenizer};
use tokenizers::{canonicalize_str, from_json};

use super::tokens::TokenId;

/// The files of a tokenizer, as they come with a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// `tokenizer_config.json`, which has the chat template.
    pub config: Option<PathBuf>,
}

/// A tokenizer and its chat template.
pub struct Tokenizer {
    pipeline: PipelineTokenizer,
    /// What stands around a prompt, where the configuration says it and not the tokenizer.
    wrapping: Option<Wrapping>,
    template: Option<ChatTemplate>,
}

/// Tokens around a prompt.
#[derive(Debug)]
struct Wrapping {
    before: Option<TokenId>,
    after: Option<TokenId>,
}

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
}

/// Why a conversation makes no prompt.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// There is no template.
    #[error("the tokenizer has no chat template")]
    NoTemplate,
    /// What of the request shapes the prompt cannot be read.
    #[error("{0}")]
    Request(#[from] serde_json::Error),
    /// The template makes nothing of it.
    #[error("{0}")]
    Template(#[from] TemplateError),
}

/// What of a chat request shapes its prompt.
#[derive(Deserialize)]
struct ChatRequest<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    documents: Option<&'a RawValue>,
    #[serde(borrow, default)]
    chat_template_kwargs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_effort: Option<&'a RawValue>,
}

impl Tokenizer {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or is of a kind that is not supported.
    pub fn load(files: &TokenizerFiles) -> Result<Self, TokenizerError> {
        let malformed = |path: &Path, reason: String| TokenizerError::Malformed {
            path: path.to_owned(),
            reason,
        };
        let canonical = canonicalize_str(&read(&files.tokenizer)?)
            .map_err(|error| malformed(&files.tokenizer, error.to_string()))?;
        let pipeline = from_json(&canonical).map_err(|error| malformed(&files.tokenizer, error.to_string()))?;
        let Some(path) = &files.config else {
            return Ok(Self {
                pipeline,
                wrapping: None,
                template: None,
            });
        };
        let config: Value = serde_json::from_str(&read(path)?).map_err(|error| malformed(path, error.to_string()))?;
        Ok(Self {
            wrapping: wrapping(&config, &pipeline),
            template: template(&config).map_err(|error| malformed(path, error.to_string()))?,
            pipeline,
        })
    }

    /// The tokens of `text`, with the tokenizer's own around it if they are asked for.
    #[must_use]
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Vec<TokenId> {
        let options = EncodeOptions {
            add_special_tokens: add_special_tokens && self.wrapping.is_none(),
            ..EncodeOptions::default()
        };
        let mut tokens = Vec::new();
        let encoded = self.pipeline.encode_into(text, &options, &mut tokens);
        debug_assert!(encoded.is_ok(), "a byte-level tokenizer encodes any text");
        let wrapping = self.wrapping.as_ref().filter(|_| add_special_tokens);
        let before = wrapping.and_then(|wrapping| wrapping.before);
        let after = wrapping.and_then(|wrapping| wrapping.after);
        let tokens = tokens.iter().map(|token| token.id());
        before.into_iter().chain(tokens).chain(after).collect()
    }

    /// The text of tokens.
    #[must_use]
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        self.pipeline.decode(tokens, false).unwrap_or_default()
    }

    /// A token as the vocabulary spells it.
    #[must_use]
    pub fn spelling(&self, token: TokenId) -> Option<String> {
        let added = self.pipeline.get_added_vocabulary().get_added_tokens_decoder();
        match added.get(&token) {
            Some(added) => Some(added.content.clone()),
            None => self.pipeline.get_model().id_to_token(token),
        }
    }

    /// The prompt that a chat request of this body makes.
    ///
    /// # Errors
    /// When it makes none.
    pub fn prompt(&self, body: &[u8], ending: Ending, now: Timestamp) -> Result<String, ChatError> {
        let template = self.template.as_ref().ok_or(ChatError::NoTemplate)?;
        let request: ChatRequest<'_> = serde_json::from_slice(body)?;
        let chat = Chat {
            messages: request.messages.get(),
            tools: request.tools.map(RawValue::get),
            documents: request.documents.map(RawValue::get),
            chat_template_kwargs: request.chat_template_kwargs.map(RawValue::get),
            reasoning_effort: request.reasoning_effort.map(RawValue::get),
            ending,
            reader: Reader::Vllm,
        };
        Ok(template.render(&chat, now)?.text)
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<String, TokenizerError> {
    std::fs::read_to_string(path).map_err(|source| TokenizerError::Read {
        path: path.to_owned(),
        source,
    })
}

/// What transformers' `LlamaTokenizerFast` puts in place of the tokenizer's own post-processor.
fn wrapping(config: &Value, pipeline: &PipelineTokenizer) -> Option<Wrapping> {
    config["tokenizer_class"]
        .as_str()
        .filter(|class| class.starts_with("LlamaTokenizer"))?;
    let added = pipeline.get_added_vocabulary().get_added_tokens_decoder();
    let id = |name: &str| {
        let text = special_token(config, name)?;
        added
            .iter()
            .find_map(|(id, token)| (token.content == text).then_some(*id))
    };
    let adds = |key: &str, default: bool| config[key].as_bool().unwrap_or(default);
    Some(Wrapping {
        before: id("bos_token").filter(|_| adds("add_bos_token", true)),
        after: id("eos_token").filter(|_| adds("add_eos_token", false)),
    })
}

/// A special token's text, which is written in one of two ways.
fn special_token<'a>(config: &'a Value, name: &str) -> Option<&'a str> {
    let token = &config[name];
    token.as_str().or_else(|| token["content"].as_str())
}

/// The template of a `tokenizer_config.json`, with the special tokens that it may name.
fn template(config: &Value) -> Result<Option<ChatTemplate>, TemplateError> {
    let Some(source) = config["chat_template"].as_str() else {
        return Ok(None);
    };
    let special_tokens = SPECIAL_TOKENS
        .iter()
        .filter_map(|name| Some((*name, special_token(config, name)?)));
    ChatTemplate::compile(source, special_tokens, content_format(source)).map(Some)
}

/// What transformers hands to templates by name.
const SPECIAL_TOKENS: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];
