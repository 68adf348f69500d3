//! The vocabulary as bytes, and what a table holds of it.

use std::collections::BTreeMap;

use super::error::CompileError;
use super::merges::Merges;
use super::whole::Borders;
use super::written::TokenizerFile;
use crate::tokens::table::{MAX_ID, MAX_TOKEN_BYTES, UNMERGED, character};

/// Tokens by their bytes.
pub(super) type Tokens = BTreeMap<Vec<u8>, u32>;

/// A token as it stands in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub bytes: Vec<u8>,
    /// The id, with marks in its third byte: [`UNMERGED`], and what [`Borders::marks`] says.
    pub id: u32,
}

/// The tokens of a byte-level vocabulary. What is written with other characters than those that stand for bytes is
/// left out: no text can come to it, other than as an added token.
pub(super) fn tokens(tokenizer: &TokenizerFile) -> Result<Tokens, CompileError> {
    check_model(tokenizer)?;
    let bytes_of: BTreeMap<char, u8> = (0..=u8::MAX).map(|byte| (character(byte), byte)).collect();
    let mut tokens = Tokens::new();
    for (written, id) in &tokenizer.model.vocab {
        let bytes: Option<Vec<u8>> = written.chars().map(|char| bytes_of.get(&char).copied()).collect();
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            continue;
        };
        if *id > MAX_ID || bytes.len() > MAX_TOKEN_BYTES {
            return Err(CompileError::TooLarge {
                id: *id,
                bytes: bytes.len(),
                max_id: MAX_ID,
                max_bytes: MAX_TOKEN_BYTES,
            });
        }
        tokens.insert(bytes, *id);
    }
    match (0..=u8::MAX).find(|byte| !tokens.contains_key(&[*byte][..])) {
        Some(byte) => Err(CompileError::MissingByte { byte }),
        None => Ok(tokens),
    }
}

fn check_model(tokenizer: &TokenizerFile) -> Result<(), CompileError> {
    let model = &tokenizer.model;
    let unknown = |found: &str| {
        Err(CompileError::Unknown {
            part: "model",
            found: found.to_owned(),
            known: "byte-level BPE without dropout, prefixes, suffixes and byte fallback",
        })
    };
    let marks_words = |affix: &Option<String>| affix.as_deref().is_some_and(|affix| !affix.is_empty());
    match &model.kind {
        Some(kind) if kind != "BPE" => unknown(kind),
        Some(_) | None if model.byte_fallback => unknown("BPE with byte fallback, as SentencePiece makes it"),
        Some(_) | None if model.dropout.is_some_and(|dropout| dropout > 0.0) => unknown("BPE with dropout"),
        Some(_) | None if marks_words(&model.continuing_subword_prefix) || marks_words(&model.end_of_word_suffix) => {
            unknown("BPE with marks inside or at the ends of words")
        }
        Some(_) | None => Ok(()),
    }
}

/// What a table holds: every token that text can come to.
pub(super) fn entries(tokens: &Tokens, merges: &Merges, ignore_merges: bool) -> Result<Vec<Entry>, CompileError> {
    let mut entries = Vec::with_capacity(tokens.len());
    let (made, unmade): (Vec<_>, Vec<_>) = tokens.iter().partition(|(bytes, id)| merges.make(bytes, **id));
    let borders = Borders::of(&made);
    for (bytes, id) in made {
        let marks = borders.marks(bytes, *id, merges);
        entries.push(Entry {
            bytes: bytes.clone(),
            id: *id | u32::from(marks) << 16,
        });
    }
    for (bytes, id) in unmade.into_iter().filter(|_| ignore_merges) {
        entries.push(Entry {
            bytes: bytes.clone(),
            id: *id | u32::from(UNMERGED) << 16,
        });
    }
    Ok(entries)
}
