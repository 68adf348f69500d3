//! What merges of few bytes were found to be: a word keeps coming to the same pairs, and one place in this cache is
//! nearer than the four in a table that a look-up takes.

use std::ops::Range;

use crate::tokens::table::{Vocabulary, bucket, hash_word, word};

/// A table of fixed size in which each few bytes have one place, and take it from those before.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Empty until the first one.
    entries: Vec<Entry>,
}

/// Bytes, padded with zeros. Their length is never 0 but in an empty place.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    bytes: u64,
    length: u32,
    rank: u32,
}

impl Known {
    /// The rank of the merge that makes a token of this piece of `text`, or [`NO_MERGE`].
    #[inline]
    pub fn rank(&mut self, vocabulary: &Vocabulary<'_>, text: &[u8], piece: Range<usize>) -> u32 {
        let length = piece.end - piece.start;
        if length > 8 {
            return vocabulary.merged(text, piece).unwrap_or(NO_MERGE);
        }
        if self.entries.is_empty() {
            self.entries.resize(ENTRIES as usize, Entry::default());
        }
        let bytes = word(text, piece.start, length);
        let place = bucket(hash_word(bytes), ENTRIES) as usize;
        let length = length as u32;
        match self.entries.get_mut(place) {
            Some(entry) if entry.bytes == bytes && entry.length == length => entry.rank,
            entry => {
                let rank = vocabulary.merged(text, piece).unwrap_or(NO_MERGE);
                if let Some(entry) = entry {
                    *entry = Entry { bytes, length, rank };
                }
                rank
            }
        }
    }
}

/// Behind every rank.
pub(super) const NO_MERGE: u32 = u32::MAX;
/// 64 KiB of them.
const ENTRIES: u32 = 4096;
