//! One library with one tokenizer.

use kitoken::Kitoken;
use tidegate_core::tokens::Table;
use tokenizers::pipeline::{EncodeOptions, PipelineToken, PipelineTokenizer};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The gateway's own.
    Tidegate,
    /// Hugging Face's.
    Tokenizers,
    /// By Xemplary.
    Kitoken,
    /// OpenAI's algorithm, for its own encodings only.
    #[cfg(not(target_family = "wasm"))]
    Tiktoken,
}

impl Library {
    /// All that are compiled in; the gateway's own is the first.
    pub const ALL: &'static [Self] = &[
        Self::Tidegate,
        Self::Tokenizers,
        Self::Kitoken,
        #[cfg(not(target_family = "wasm"))]
        Self::Tiktoken,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate",
            Self::Tokenizers => "tokenizers",
            Self::Kitoken => "kitoken",
            #[cfg(not(target_family = "wasm"))]
            Self::Tiktoken => "tiktoken",
        }
    }

    /// The library of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|library| library.name() == name)
    }
}

/// A library that has a tokenizer open.
pub enum Contender {
    /// The gateway's own.
    Tidegate(Table),
    /// Hugging Face's, with the memory for ids that it fills.
    Tokenizers(Box<PipelineTokenizer>, Vec<PipelineToken>),
    /// By Xemplary.
    Kitoken(Box<Kitoken>),
    /// OpenAI's algorithm.
    #[cfg(not(target_family = "wasm"))]
    Tiktoken(&'static tiktoken_rs::CoreBPE),
}

impl Contender {
    /// Has the library read `file`: the gateway a table, the others a `tokenizer.json`. Tiktoken brings its own.
    ///
    /// # Errors
    /// What the library says.
    pub fn open(library: Library, file: Vec<u8>) -> Result<Self, String> {
        match library {
            Library::Tidegate => Ok(Self::Tidegate(Table::open(file).map_err(|error| error.to_string())?)),
            Library::Tokenizers => {
                let text = String::from_utf8(file).map_err(|error| error.to_string())?;
                let canonical = tokenizers::canonicalize_str(&text).map_err(|error| error.to_string())?;
                let opened = tokenizers::from_json(&canonical).map_err(|error| error.to_string())?;
                Ok(Self::Tokenizers(Box::new(opened), Vec::new()))
            }
            Library::Kitoken => {
                let opened = Kitoken::from_tokenizers_slice(&file).map_err(|error| error.to_string())?;
                Ok(Self::Kitoken(Box::new(opened)))
            }
            #[cfg(not(target_family = "wasm"))]
            Library::Tiktoken => Ok(Self::Tiktoken(tiktoken_rs::o200k_harmony_singleton())),
        }
    }

    /// How many tokens `text` is, by the library's quickest call for one text on one thread.
    ///
    /// # Errors
    /// What the library says.
    pub fn count(&mut self, text: &str) -> Result<u64, String> {
        match self {
            Self::Tidegate(table) => Ok(table.count(text).0),
            Self::Tokenizers(tokenizer, ids) => {
                ids.clear();
                let encoded = tokenizer.encode_into(text, &EncodeOptions::no_specials(), ids);
                encoded.map_err(|error| error.to_string())?;
                Ok(ids.len() as u64)
            }
            Self::Kitoken(tokenizer) => {
                let ids = tokenizer.encode(text, true).map_err(|error| error.to_string())?;
                Ok(ids.len() as u64)
            }
            #[cfg(not(target_family = "wasm"))]
            Self::Tiktoken(tokenizer) => Ok(tokenizer.count_with_special_tokens(text) as u64),
        }
    }
}

impl std::fmt::Debug for Contender {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let library = match self {
            Self::Tidegate(_) => Library::Tidegate,
            Self::Tokenizers(..) => Library::Tokenizers,
            Self::Kitoken(_) => Library::Kitoken,
            #[cfg(not(target_family = "wasm"))]
            Self::Tiktoken(_) => Library::Tiktoken,
        };
        formatter.write_str(library.name())
    }
}
