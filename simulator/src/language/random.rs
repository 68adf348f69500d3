//! Reproducible choices: a stream of numbers and a hash, both from a seed.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// A stream of numbers from a seed (SplitMix64, Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Equal seeds give equal streams.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number, uniform over all values.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0..bound`; zero for an empty range.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: as good as a division, and without its bias for small bounds.
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// Uniform in `0.0..1.0`.
    pub const fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of `choices`, which must not be empty.
    pub const fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A keyed hash of bytes.
#[must_use]
pub fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, 1);
    hasher.write(bytes);
    hasher.finish()
}

/// A keyed hash of numbers.
#[must_use]
pub fn hash_tokens(seed: u64, tokens: &[u32]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, 2);
    for token in tokens {
        hasher.write_u32(*token);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_stream_and_bounds_hold() {
        let mut first = Random::new(7);
        let mut second = Random::new(7);
        for _ in 0..1_000 {
            assert_eq!(first.next(), second.next());
            assert!(first.below(10) < 10 && second.below(10) < 10);
            let fraction = first.fraction();
            assert!((0.0..1.0).contains(&fraction));
            second.fraction();
        }
        assert_ne!(Random::new(7).next(), Random::new(8).next());
    }
}
