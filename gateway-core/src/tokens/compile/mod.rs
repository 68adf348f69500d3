//! Makes a token table of a Hugging Face tokenizer. Runs on an operator's machine, never in the gateway.
//!
//! A tokenizer is either represented exactly or refused with the reason; nothing is approximated.

mod chat;
mod error;
mod merges;
mod pack;
mod recognize;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod toy;
mod vocabulary;
mod whole;
mod written;

pub use error::CompileError;

use self::merges::Merges;
use self::written::{TokenizerConfig, TokenizerFile};
use super::table::{AddedToken, Details, assemble};
use super::template::{ContentFormat, content_format};

/// A tokenizer as it is published.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// `tokenizer.json`.
    pub tokenizer: &'a str,
    /// `tokenizer_config.json`: special tokens by their names, and the chat template.
    pub config: Option<&'a str>,
    /// A chat template that stands in a file of its own. It goes before the one in the configuration.
    pub chat_template: Option<&'a str>,
}

/// The table of a tokenizer, as the bytes of its file.
///
/// # Errors
/// Why the tokenizer cannot be represented.
pub fn compile(source: &Source<'_>) -> Result<Vec<u8>, CompileError> {
    let tokenizer = TokenizerFile::parse(source.tokenizer)?;
    let config = source
        .config
        .map(TokenizerConfig::parse)
        .transpose()?
        .unwrap_or_default();
    let tokens = vocabulary::tokens(&tokenizer)?;
    let merges = Merges::read(&tokenizer.model, &tokens)?;
    let entries = vocabulary::entries(&tokens, &merges, tokenizer.model.ignore_merges)?;
    let packed = pack::pack(&entries)?;
    let wrapping = recognize::wrapping(&tokenizer, &config)?;
    let chat_template = chat::template(source.chat_template, &config)?;
    let details = Details {
        groups: packed.groups,
        normalizer: recognize::normalizer(&tokenizer)?,
        splitter: recognize::splitter(&tokenizer)?,
        added: added_tokens(&tokenizer)?,
        before: wrapping.before,
        after: wrapping.after,
        special_tokens: config.special_tokens(),
        content: chat_template.as_deref().map_or(ContentFormat::Text, content_format),
        chat_template,
    };
    let details = postcard::to_allocvec(&details).map_err(|error| CompileError::Details {
        detail: error.to_string(),
    })?;
    Ok(assemble(&details, &packed.bytes))
}

fn added_tokens(tokenizer: &TokenizerFile) -> Result<Vec<AddedToken>, CompileError> {
    let normalizes = tokenizer
        .normalizer
        .as_ref()
        .is_some_and(|normalizer| !normalizer.does_nothing());
    let added = tokenizer.added_tokens.iter().map(|token| {
        if token.single_word {
            return Err(CompileError::AddedToken {
                token: token.content.clone(),
                what: "is found as a single word only (`single_word`)",
            });
        }
        if token.normalized && normalizes {
            return Err(CompileError::AddedToken {
                token: token.content.clone(),
                what: "is looked for in normalized text (`normalized`), and the tokenizer normalizes",
            });
        }
        Ok(AddedToken {
            content: token.content.clone(),
            id: token.id,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            normalized: token.normalized,
        })
    });
    added.collect()
}
