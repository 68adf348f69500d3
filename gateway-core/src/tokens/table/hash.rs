//! The hash by which a table finds a piece of text, the same in the compiler and in every reader. It is made for keys
//! of some bytes to some hundred, and for machines without a wide multiplication, as WebAssembly is.

/// Mixes the bytes of `piece`. Pieces of different lengths are never compared, so the length takes no part.
#[inline]
pub(crate) fn hash(piece: &[u8]) -> u64 {
    let mut state = SEED;
    let mut rest = piece;
    while let Some((word, more)) = rest.split_first_chunk::<8>() {
        state = mix(state ^ u64::from_le_bytes(*word));
        rest = more;
    }
    mix(state ^ tail(rest, piece))
}

/// The last bytes as one number. Where the piece is long enough they overlap what came before: one load, not eight.
#[inline]
fn tail(rest: &[u8], piece: &[u8]) -> u64 {
    match (piece.last_chunk::<8>(), rest) {
        (_, []) => 0,
        (Some(last), _) => u64::from_le_bytes(*last),
        (None, _) => short(rest),
    }
}

/// Up to seven bytes as one number, injectively for each length.
#[inline]
fn short(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        (_, _, &[a, b, c]) => u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16,
        (_, _, &[a, b]) => u64::from(a) | u64::from(b) << 8,
        (_, _, &[a]) => u64::from(a),
        (_, _, _) => 0,
    }
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

/// `hash` as a number below `bound`, by its upper half (Lemire, "A fast alternative to the modulo reduction", 2016).
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a half times a number below 2^32, halved again"
)]
fn reduce(hash: u64, bound: u32) -> u32 {
    ((hash >> 32) * u64::from(bound) >> 32) as u32
}

#[inline]
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 32)).wrapping_mul(MULTIPLIER);
    word ^ (word >> 29)
}

const SEED: u64 = 0x243f_6a88_85a3_08d3;
/// Steele and Vigna, "Computationally easy, spectrally good multipliers" (2021), table for 64 bits.
const MULTIPLIER: u64 = 0xd134_2543_de82_ef95;
const PILOT: u64 = 0x9e37_79b9_7f4a_7c15;
