//! How many tokens recent pieces were. Words repeat: most pieces of a text were seen shortly before, and one slot of
//! this cache is nearer than the three in a table that a look-up takes, and far nearer than merging.

use crate::tokens::table::{cache_slot, two_words};

/// Two tables of fixed size, for short pieces and for longer ones, in which each piece has one slot, and takes it from
/// the piece before. Without room for them, as at first, nothing is kept.
#[derive(Debug, Default)]
pub(super) struct PieceCounts {
    short: Vec<[u64; 2]>,
    longer: Vec<[u64; 4]>,
}

/// A piece as it is looked for: its bytes, padded with zeros, and in the uppermost byte or two its length. Where it is
/// kept, its number of tokens stands below the length. Neither is ever 0 but in an empty slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    /// Up to 15 bytes.
    Short([u64; 2]),
    /// Up to 30 bytes.
    Longer([u64; 4]),
}

impl Key {
    /// The key of the `length` bytes of `text` from `start` on, at least one; [`None`] when they are too many.
    #[inline]
    pub fn new(text: &[u8], start: usize, length: usize) -> Option<Self> {
        if length < 16 {
            let [low, high] = two_words(text, start, length);
            return Some(Self::Short([low, high | (length as u64) << 60]));
        }
        if length > LONGEST {
            return None;
        }
        let [first, second] = two_words(text, start, 15);
        let [third, fourth] = two_words(text, start + 15, length - 15);
        // The first byte of the second half takes the room that the first half leaves.
        Some(Self::Longer([
            first,
            second | third << 56,
            third >> 8 | fourth << 56,
            fourth >> 8 | (length as u64) << 56,
        ]))
    }
}

impl PieceCounts {
    /// Keeps pieces from here on.
    pub fn make_room(&mut self) {
        if self.short.is_empty() {
            *self = Self {
                short: vec![[0; 2]; 1 << SHORT_BITS],
                longer: vec![[0; 4]; 1 << LONGER_BITS],
            };
        }
    }

    /// How many tokens the piece is, if that is known.
    #[inline]
    pub fn get(&self, key: Key) -> Option<u64> {
        match key {
            Key::Short(key) => {
                let kept = self.short.get(cache_slot(key, SHORT_BITS))?;
                let is_same = kept[0] == key[0] && kept[1] & !SHORT_COUNT == key[1];
                is_same.then_some((kept[1] & SHORT_COUNT) >> 56)
            }
            Key::Longer(key) => {
                let kept = self.longer.get(slot_of_longer(key))?;
                let is_same = kept[..3] == key[..3] && kept[3] & !LONGER_COUNT == key[3];
                is_same.then_some((kept[3] & LONGER_COUNT) >> 48)
            }
        }
    }

    /// Keeps it. There are never more tokens than bytes.
    pub fn put(&mut self, key: Key, tokens: u64) {
        match key {
            Key::Short([low, high]) => {
                if let Some(kept) = self.short.get_mut(cache_slot([low, high], SHORT_BITS)) {
                    *kept = [low, high | tokens << 56];
                }
            }
            Key::Longer(key) => {
                if let Some(kept) = self.longer.get_mut(slot_of_longer(key)) {
                    *kept = [key[0], key[1], key[2], key[3] | tokens << 48];
                }
            }
        }
    }
}

#[inline]
fn slot_of_longer(key: [u64; 4]) -> usize {
    cache_slot(
        [key[0] ^ key[2].rotate_left(32), key[1] ^ key[3].rotate_left(32)],
        LONGER_BITS,
    )
}

/// 64 KiB.
const SHORT_BITS: u32 = 12;
/// 32 KiB.
const LONGER_BITS: u32 = 10;
/// Bytes of the longest pieces that are kept.
const LONGEST: usize = 30;
const SHORT_COUNT: u64 = 0x0f << 56;
const LONGER_COUNT: u64 = 0xff << 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_never_taken_for_another() {
        let mut counts = PieceCounts::default();
        counts.make_room();
        // Of each two, one is the other with a zero byte behind it; lengths go over what is kept.
        let pieces: Vec<String> = (0..20_000_usize)
            .map(|n| format!("{:x}{}{}", n / 2, "-".repeat(n / 2 % 29), "\0".repeat(n % 2)))
            .collect();
        let tokens = |piece: &str| 1 + (piece.len() as u64 + u64::from(piece.as_bytes()[0])) % piece.len() as u64;
        let key = |piece: &String| Key::new(piece.as_bytes(), 0, piece.len());
        let kept: Vec<&String> = pieces.iter().filter(|piece| key(piece).is_some()).collect();
        assert!(kept.iter().all(|piece| piece.len() <= LONGEST) && kept.len() > 15_000);
        for piece in &kept {
            let key = key(piece).unwrap();
            counts.put(key, tokens(piece));
            assert_eq!(counts.get(key), Some(tokens(piece)), "{piece:?}");
        }
        let mut known = 0;
        for piece in &kept {
            let found = counts.get(key(piece).unwrap());
            assert!(found.is_none_or(|found| found == tokens(piece)), "{piece:?}");
            known += usize::from(found.is_some());
        }
        assert!((2_500..=5 << 10).contains(&known), "{known}");
    }

    #[test]
    fn keys_do_not_depend_on_what_stands_behind() {
        let text = "abcdefghijklmnopqrstuvwxyz0123456789".as_bytes();
        for length in 1..=LONGEST {
            let apart = format!("{:?}", Key::new(&text[..length], 0, length));
            assert_eq!(format!("{:?}", Key::new(text, 0, length)), apart);
        }
    }
}
