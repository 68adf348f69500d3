//! How many tokens recent pieces were merged to. Words repeat: most pieces that have to be merged were merged shortly
//! before.

use std::ops::Range;

use crate::tokens::table::{bucket, hash, word, words};

/// A table of fixed size in which each piece has one place, and takes it from the piece before.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Empty until the first piece.
    entries: Vec<Entry>,
}

/// A piece, padded with zeros. Tokens are never 0 but in an empty place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    words: [u64; 4],
    length: u8,
    tokens: u8,
}

impl Recent {
    /// Bytes of the longest pieces that are kept.
    pub const LONGEST: usize = 32;

    /// How many tokens this piece of `text` is, if that is known.
    pub fn get(&self, text: &[u8], piece: Range<usize>) -> Option<usize> {
        let kept = self.entries.get(place(text, piece.clone()))?;
        let is_same = kept.tokens > 0 && usize::from(kept.length) == piece.len() && kept.words == padded(text, piece);
        is_same.then_some(usize::from(kept.tokens))
    }

    /// Keeps it.
    pub fn put(&mut self, text: &[u8], piece: Range<usize>, tokens: usize) {
        if self.entries.is_empty() {
            self.entries.resize(ENTRIES as usize, Entry::default());
        }
        let (Ok(length), Ok(tokens)) = (u8::try_from(piece.len()), u8::try_from(tokens)) else {
            return;
        };
        if let Some(kept) = self.entries.get_mut(place(text, piece.clone())) {
            *kept = Entry {
                words: padded(text, piece),
                length,
                tokens,
            };
        }
    }
}

fn place(text: &[u8], piece: Range<usize>) -> usize {
    bucket(hash(text, piece), ENTRIES) as usize
}

fn padded(text: &[u8], piece: Range<usize>) -> [u64; 4] {
    let mut padded = [0; 4];
    for (kept, (at, length)) in padded.iter_mut().zip(words(piece)) {
        *kept = word(text, at, length);
    }
    padded
}

/// 80 KiB of them.
const ENTRIES: u32 = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_never_taken_for_another() {
        let mut recent = Recent::default();
        // Of each two, one is the other with a zero byte behind it.
        let pieces: Vec<String> = (0..20_000)
            .map(|n| format!("{:x}{}", n / 2, "\0".repeat(n % 2)))
            .collect();
        let tokens = |piece: &str| piece.len() + usize::from(piece.as_bytes()[0]) % 7;
        let mut known = 0;
        for piece in &pieces {
            recent.put(piece.as_bytes(), 0..piece.len(), tokens(piece));
            assert_eq!(recent.get(piece.as_bytes(), 0..piece.len()), Some(tokens(piece)));
        }
        for piece in &pieces {
            let found = recent.get(piece.as_bytes(), 0..piece.len());
            assert!(found.is_none_or(|found| found == tokens(piece)), "{piece:?}");
            known += usize::from(found.is_some());
        }
        assert!((1_500..=ENTRIES as usize).contains(&known), "{known}");
    }
}
