//! A map by prefixes' keys. A key is a keyed hash already, which nobody outside can choose: a multiplication is enough to
//! say where it belongs. What the map holds has no order that means anything.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use crate::ids::PrefixKey;

/// What is known of prefixes.
pub(super) type PrefixMap<V> = HashMap<PrefixKey, V, BuildHasherDefault<KeyHasher>>;

/// Multiplicative hashing, by the golden ratio's part of 2^64. Source: Knuth, "The Art of Computer Programming", volume 3, 6.4.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, bits: u64) {
        let product = (self.0 ^ bits).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // The map goes by the lowest bits, on which the highest of a key have no influence yet.
        self.0 = product ^ (product >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
