//! `tokenizer.json` and `tokenizer_config.json` as they are written, as far as a table needs them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::error::CompileError;

/// `tokenizer.json`. Truncation and padding are left out: whoever counts a prompt wants all of it and no more.
#[derive(Debug, Deserialize)]
pub(super) struct TokenizerFile {
    #[serde(default)]
    pub added_tokens: Vec<WrittenAddedToken>,
    pub normalizer: Option<Step>,
    pub pre_tokenizer: Option<Step>,
    pub post_processor: Option<Step>,
    pub model: Model,
}

#[derive(Debug, Deserialize)]
pub(super) struct WrittenAddedToken {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub normalized: bool,
}

/// A normalizer, pre-tokenizer or post-processor.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(alias = "normalizers", alias = "pretokenizers", alias = "processors", default)]
    pub steps: Vec<Step>,
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Model {
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    pub dropout: Option<f64>,
    pub continuing_subword_prefix: Option<String>,
    pub end_of_word_suffix: Option<String>,
    #[serde(default)]
    pub byte_fallback: bool,
    #[serde(default)]
    pub ignore_merges: bool,
    pub vocab: BTreeMap<String, u32>,
    pub merges: Vec<WrittenMerge>,
}

/// Newer files have pairs, older ones the two parts with a space between.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum WrittenMerge {
    Pair(String, String),
    Line(String),
}

/// `tokenizer_config.json`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TokenizerConfig {
    pub tokenizer_class: Option<String>,
    pub add_bos_token: Option<bool>,
    pub add_eos_token: Option<bool>,
    pub chat_template: Option<Templates>,
    #[serde(flatten)]
    fields: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Templates {
    One(String),
    Several(Vec<NamedTemplate>),
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedTemplate {
    pub name: String,
    pub template: String,
}

impl TokenizerFile {
    pub fn parse(json: &str) -> Result<Self, CompileError> {
        parse("tokenizer.json", json)
    }
}

impl Step {
    /// Whether it is a sequence of nothing.
    pub fn does_nothing(&self) -> bool {
        self.kind == "Sequence" && self.steps.iter().all(Self::does_nothing)
    }

    /// The steps of a sequence, and of the sequences in it; else the step itself.
    pub fn flat(&self) -> Vec<&Self> {
        match self.kind.as_str() {
            "Sequence" => self.steps.iter().flat_map(Self::flat).collect(),
            _ => vec![self],
        }
    }

    /// Whether a field is true.
    pub fn is(&self, field: &str) -> bool {
        self.fields.get(field).and_then(Value::as_bool).unwrap_or(false)
    }
}

impl WrittenMerge {
    pub fn parts(&self) -> Option<(&str, &str)> {
        match self {
            Self::Pair(left, right) => Some((left, right)),
            Self::Line(line) => line.split_once(' '),
        }
    }
}

impl TokenizerConfig {
    pub fn parse(json: &str) -> Result<Self, CompileError> {
        parse("tokenizer_config.json", json)
    }

    /// The special tokens that have names, by name: `bos_token` and such.
    pub fn special_tokens(&self) -> Vec<(String, String)> {
        let named = self.fields.iter().filter(|(name, _)| name.ends_with("_token"));
        let texts = named.filter_map(|(name, value)| {
            let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
            Some((name.clone(), text.to_owned()))
        });
        texts.collect()
    }

    /// The text of one of them.
    pub fn special_token(&self, name: &str) -> Option<String> {
        let (_, text) = self.special_tokens().into_iter().find(|(other, _)| other == name)?;
        Some(text)
    }
}

fn parse<'a, T: Deserialize<'a>>(file: &'static str, json: &'a str) -> Result<T, CompileError> {
    serde_json::from_str(json).map_err(|error| CompileError::Unreadable {
        file,
        detail: error.to_string(),
    })
}
