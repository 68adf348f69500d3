//! What merges of few bytes were found to be: a word keeps coming to the same pairs, and one slot of this cache is
//! nearer than the three in a table that a look-up takes.

use std::ops::Range;

use crate::tokens::table::{Merged, Vocabulary, cache_slot, two_words};

/// Two tables of fixed size, in which each few bytes have one slot, and take it from those before. Without room for
/// them, as at first, nothing is kept.
#[derive(Debug, Default)]
pub(super) struct MergeCache {
    /// Up to four bytes, padded with zeros; above them what they merge to, and their length, which is 0 in an empty
    /// slot only.
    short: Vec<u64>,
    /// Up to twelve bytes; in the upper half of the second word the same.
    longer: Vec<[u64; 2]>,
}

impl MergeCache {
    /// Keeps merges from here on.
    pub fn make_room(&mut self) {
        if self.short.is_empty() {
            *self = Self {
                short: vec![0; 1 << SHORT_BITS],
                longer: vec![[0; 2]; 1 << LONGER_BITS],
            };
        }
    }

    /// What merges make of this piece of `text`.
    #[inline]
    pub fn merged(&mut self, vocabulary: &Vocabulary<'_>, text: &[u8], piece: Range<usize>) -> Merged {
        let length = piece.end - piece.start;
        if length > LONGEST {
            return vocabulary.merged(text, piece);
        }
        let [low, high] = two_words(text, piece.start, length);
        let tag = (length as u64) << 56;
        if length <= 4 {
            let key = low | tag;
            let Some(kept) = self.short.get_mut(cache_slot([key, 0], SHORT_BITS)) else {
                return vocabulary.merged(text, piece);
            };
            if *kept & KEY != key {
                *kept = key | look_up(vocabulary, text, piece);
            }
            return Merged::from_bits((*kept >> 32) as u32);
        }
        let key = [low, high | tag];
        let Some(kept) = self.longer.get_mut(cache_slot(key, LONGER_BITS)) else {
            return vocabulary.merged(text, piece);
        };
        if kept[0] != key[0] || kept[1] & KEY != key[1] {
            *kept = [key[0], key[1] | look_up(vocabulary, text, piece)];
        }
        Merged::from_bits((kept[1] >> 32) as u32)
    }
}

/// What merges make, as it is kept.
#[inline(never)]
fn look_up(vocabulary: &Vocabulary<'_>, text: &[u8], piece: Range<usize>) -> u64 {
    u64::from(vocabulary.merged(text, piece).bits()) << 32
}

/// 32 KiB.
const SHORT_BITS: u32 = 12;
/// 32 KiB.
const LONGER_BITS: u32 = 11;
/// Four characters of three bytes.
const LONGEST: usize = 12;
/// All but what the bytes merge to.
const KEY: u64 = 0xff00_0000_ffff_ffff;
