//! The chain of hashes through a prompt: at each place a key of all that stands before it.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::ids::PrefixKey;

/// A chain, as far as it has come. `SipHash` 1-3 gives a key at any place without being ended by it.
#[derive(Debug)]
pub(super) struct Chain(SipHasher13);

impl Chain {
    /// The chain of prompts for that model under that salt. Those of different salts share no key, since engines do not
    /// share their prefixes.
    pub fn new(salt: &str, model: &str) -> Self {
        let mut chain = Self(SipHasher13::new());
        for (name, value) in [("salt", salt), ("model", model)] {
            chain.begin(name);
            chain.write(value.as_bytes());
        }
        chain
    }

    /// Another part begins. Its length is not told, since what shares its beginning is to share keys in it.
    pub fn begin(&mut self, name: &str) {
        self.0.write(&[APART]);
        self.0.write(name.as_bytes());
        self.0.write(&[APART]);
    }

    /// The part goes on.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The key of this place.
    pub fn key(&self) -> PrefixKey {
        PrefixKey(self.0.finish())
    }
}

/// A byte that is in no UTF-8, and so in no part but one of tokens, after which none comes.
const APART: u8 = 0xFF;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_and_pieces_of_one_are_not() {
        let key = |salt: &str, parts: &[(&str, &[&str])]| {
            let mut chain = Chain::new(salt, "m");
            for (name, pieces) in parts {
                chain.begin(name);
                pieces.iter().for_each(|piece| chain.write(piece.as_bytes()));
            }
            chain.key()
        };
        let one = key("t", &[("a", &["bc"])]);
        assert_eq!(one, key("t", &[("a", &["b", "c"])]));
        for other in [
            key("u", &[("a", &["bc"])]),
            key("t", &[("ab", &["c"])]),
            key("t", &[("a", &["b"]), ("a", &["c"])]),
            key("t", &[("a", &["bc"]), ("a", &[])]),
        ] {
            assert_ne!(one, other);
        }
    }
}
