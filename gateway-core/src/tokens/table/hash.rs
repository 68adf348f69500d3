//! The hash by which a table finds a piece of text, the same in the compiler and in every reader. It takes eight bytes
//! at a time, and is made for machines without a wide multiplication, as WebAssembly is.

use std::ops::Range;

/// One to eight bytes of `text` from `at` on as one number, padded with zeros.
#[inline]
pub(crate) fn word(text: &[u8], at: usize, length: usize) -> u64 {
    match text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        Some(bytes) => u64::from_le_bytes(*bytes) & (u64::MAX >> (64 - 8 * length)),
        None => at_the_end(text, at, length),
    }
}

/// The same where fewer than eight bytes follow.
#[cold]
fn at_the_end(text: &[u8], at: usize, length: usize) -> u64 {
    let bytes = text.iter().skip(at).take(length).rev();
    bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// One to fifteen bytes of `text` from `at` on as two numbers, the first eight in the first, padded with zeros.
#[inline]
pub(crate) fn two_words(text: &[u8], at: usize, length: usize) -> [u64; 2] {
    let [low, high] = MASKS[length & 15];
    match text.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        Some(bytes) => {
            let bytes = u128::from_le_bytes(*bytes);
            [bytes as u64 & low, (bytes >> 64) as u64 & high]
        }
        None if length > 8 => [at_the_end(text, at, 8), at_the_end(text, at + 8, length - 8)],
        None => [at_the_end(text, at, length), 0],
    }
}

/// Which of the 2^`bits` slots of a cache something with these words takes: by the upper bits of two products, which all
/// of the lower ones take part in.
#[inline]
pub(crate) fn cache_slot([low, high]: [u64; 2], bits: u32) -> usize {
    ((low.wrapping_mul(MULTIPLIER) ^ high.wrapping_mul(PILOT)) >> (64 - bits)) as usize
}

/// The words of a piece of `text`, at least one: where each begins, and its bytes.
#[inline]
pub(crate) fn words(piece: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    let mut at = piece.start;
    std::iter::from_fn(move || {
        let begin = at;
        at += 8;
        (begin < piece.end).then(|| (begin, (piece.end - begin).min(8)))
    })
}

/// Mixes the bytes of `piece`, which is a part of `text`. Pieces of different lengths are never compared, so the length
/// takes no part.
#[inline]
pub(crate) fn hash(text: &[u8], piece: Range<usize>) -> u64 {
    words(piece).fold(SEED, |state, (at, length)| mix(state ^ word(text, at, length)))
}

/// [`hash`] of a piece that is this one word.
#[inline]
pub(crate) fn hash_word(word: u64) -> u64 {
    mix(SEED ^ word)
}

/// Where among `slots` a key with this hash stands, when its bucket's pilot is `pilot`.
#[inline]
pub(crate) fn slot(hash: u64, pilot: u8, slots: u32) -> u32 {
    reduce(mix(hash ^ u64::from(pilot).wrapping_mul(PILOT)), slots)
}

/// Which of `buckets` a hash falls into.
#[inline]
pub(crate) fn bucket(hash: u64, buckets: u32) -> u32 {
    reduce(hash, buckets)
}

/// `hash` as a number below `bound`, by its upper half (Lemire, "Fast random integer generation in an interval",
/// 2019).
#[inline]
fn reduce(hash: u64, bound: u32) -> u32 {
    (((hash >> 32) * u64::from(bound)) >> 32) as u32
}

#[inline]
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 32)).wrapping_mul(MULTIPLIER);
    word ^ (word >> 29)
}

/// What of two words that many bytes are.
const MASKS: [[u64; 2]; 16] = {
    let mut masks = [[0; 2]; 16];
    let mut length = 1;
    while length < 16 {
        masks[length] = if length <= 8 {
            [u64::MAX >> (64 - 8 * length), 0]
        } else {
            [u64::MAX, u64::MAX >> (128 - 8 * length)]
        };
        length += 1;
    }
    masks
};
const SEED: u64 = 0x243f_6a88_85a3_08d3;
/// Steele and Vigna, "Computationally easy, spectrally good multipliers" (2021), table for 64 bits.
const MULTIPLIER: u64 = 0xd134_2543_de82_ef95;
const PILOT: u64 = 0x9e37_79b9_7f4a_7c15;
