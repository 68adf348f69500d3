//! How a table lies in its file, and what it says of a tokenizer besides the vocabulary.
//!
//! ```text
//! magic 8 | version 4 | length of the details 4 | checksum of all that follows 8 | details | vocabulary
//! ```
//!
//! Numbers are little-endian. The details are in postcard's encoding, the vocabulary in parts of fixed-size records
//! (`vocabulary.rs`). Nothing stands behind the vocabulary.

use serde::{Deserialize, Serialize};

use super::error::TableError;
use super::vocabulary::GroupSize;
use crate::tokens::template::ContentFormat;

/// What a tokenizer does besides merging bytes.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Details {
    /// By length of token in bytes, from 0.
    pub groups: Vec<GroupSize>,
    pub normalizer: Normalizer,
    pub splitter: Splitter,
    pub added: Vec<AddedToken>,
    /// Ids that `add_special_tokens` puts before a plain prompt.
    pub before: Vec<u32>,
    /// Ids that it puts behind one.
    pub after: Vec<u32>,
    /// Named special tokens, such as `bos_token`, with their texts.
    pub special_tokens: Vec<(String, String)>,
    pub chat_template: Option<String>,
    /// How the template wants the content of messages.
    pub content: ContentFormat,
}

/// What is done to text before it is split.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Normalizer {
    None,
    /// Unicode's normalization form C.
    Nfc,
}

/// How text is split into the pieces that merges stay inside of: families of regular expressions, as `bitcannon`
/// names them.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Splitter {
    Gpt2,
    /// Also Llama 3.
    Cl100k,
    /// Qwen 2 and 3: every digit by itself.
    Qwen,
    /// Also gpt-oss and Llama 4.
    O200k,
    /// Mistral.
    Tekken,
    /// V3 and R1.
    DeepSeek,
}

/// A token that is found in text before anything else is done to it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct AddedToken {
    pub content: String,
    pub id: u32,
    /// White space before it belongs to it.
    pub lstrip: bool,
    /// White space behind it belongs to it.
    pub rstrip: bool,
    /// It is looked for after those that are not, in what they leave over.
    pub normalized: bool,
}

/// The parts of a file whose header is right.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub details: &'a [u8],
    pub vocabulary_at: usize,
}

/// Reads the header.
pub(super) fn parts(file: &[u8]) -> Result<Parts<'_>, TableError> {
    let (header, body) = split(file)?;
    let details = usize::try_from(u32_at(header, 12))
        .ok()
        .and_then(|length| body.get(..length));
    let details = details.ok_or(TableError::Damaged {
        what: "its details are longer than the file",
    })?;
    Ok(Parts {
        details,
        vocabulary_at: HEADER_BYTES + details.len(),
    })
}

/// Compares the checksum, for which it reads all of the file.
pub(super) fn check(file: &[u8]) -> Result<(), TableError> {
    let (header, body) = split(file)?;
    if u64::from(u32_at(header, 16)) | u64::from(u32_at(header, 20)) << 32 == checksum(body) {
        return Ok(());
    }
    Err(TableError::Damaged {
        what: "its checksum is another",
    })
}

/// The header, of a version that is read here, and all that follows.
fn split(file: &[u8]) -> Result<(&[u8; HEADER_BYTES], &[u8]), TableError> {
    let (header, body) = file.split_first_chunk().ok_or(TableError::NoTable)?;
    if header[..8] != MAGIC {
        return Err(TableError::NoTable);
    }
    match u32_at(header, 8) {
        VERSION => Ok((header, body)),
        found => Err(TableError::OtherVersion { found, known: VERSION }),
    }
}

/// Puts a file together. The details are far shorter than 4 GiB.
#[cfg(feature = "compile")]
pub(crate) fn assemble(details: &[u8], vocabulary: &[u8]) -> Vec<u8> {
    let body = [details, vocabulary].concat();
    let length = u32::try_from(details.len()).unwrap_or(u32::MAX);
    let mut file = MAGIC.to_vec();
    file.extend(VERSION.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(checksum(&body).to_le_bytes());
    file.extend(body);
    file
}

fn u32_at(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// Tells a damaged file from a whole one; nothing that someone set out to forge. Four sums side by side, for speed.
fn checksum(body: &[u8]) -> u64 {
    let mut lanes = [1_u64, 2, 3, body.len() as u64];
    let (chunks, rest) = body.as_chunks::<32>();
    for chunk in chunks {
        let (words, _) = chunk.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = (*lane ^ u64::from_le_bytes(*word))
                .wrapping_mul(MULTIPLIER)
                .rotate_left(29);
        }
    }
    let tail = rest.iter().map(|byte| u64::from(*byte));
    lanes
        .into_iter()
        .chain(tail)
        .fold(0, |sum, lane| (sum ^ lane).wrapping_mul(MULTIPLIER).rotate_left(29))
}

const MAGIC: [u8; 8] = *b"\x89TOKENS\n";
const VERSION: u32 = 2;
const HEADER_BYTES: usize = 24;
/// Steele and Vigna, "Computationally easy, spectrally good multipliers" (2021), table for 64 bits.
const MULTIPLIER: u64 = 0xd134_2543_de82_ef95;
/// The longest token that a table may hold, in bytes; tokenizers in use stay at or below 128.
pub(crate) const MAX_TOKEN_BYTES: usize = 1024;
