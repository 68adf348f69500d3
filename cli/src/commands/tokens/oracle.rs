//! A fresh table against the library that tokenizers come from.

use tidegate_core::tokens::Table;
use tokenizers::pipeline::EncodeOptions;
use tokenizers::{canonicalize_str, from_json};

use crate::failure::Failure;

/// Compares the table with the tokenizer on the built-in sample, line by line and as a whole, and on every added
/// token between words.
///
/// # Errors
/// The first text that they encode differently.
pub fn compare(table: &Table, tokenizer: &str) -> Result<(), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::failed(format!("`tokenizers` cannot read it: {error}"));
    let canonical = canonicalize_str(tokenizer).map_err(|error| unreadable(&error))?;
    let reference = from_json(&canonical).map_err(|error| unreadable(&error))?;
    let options = EncodeOptions {
        add_special_tokens: false,
        ..EncodeOptions::default()
    };
    let added = reference.get_added_vocabulary().get_added_tokens_decoder();
    let with_added = added
        .values()
        .map(|token| format!("one{} two\n{}{0}three ", token.content, token.content));
    let lines = SAMPLE.split_inclusive('\n').map(str::to_owned);
    for text in lines.chain([SAMPLE.to_owned()]).chain(with_added) {
        let mut expected = Vec::new();
        reference
            .encode_into(&text, &options, &mut expected)
            .map_err(|error| unreadable(&error))?;
        let expected: Vec<u32> = expected.iter().map(|token| token.id()).collect();
        let mut found = Vec::new();
        table.encode(&text, |id| found.push(id));
        if found != expected || table.count(&text).0 != expected.len() as u64 {
            return Err(Failure::failed(format!(
                "the table encodes {text:?} as {found:?}, the tokenizer as {expected:?}; nothing is written. \
                 Please report this tokenizer"
            )));
        }
    }
    Ok(())
}

/// Texts in many scripts, code, numbers, white space and what else splitters treat in ways of their own.
const SAMPLE: &str = include_str!("sample.txt");
