//! Several parts as one hash: which is another for other parts, also where they read alike end to end.

use std::hash::Hasher;

/// Hashes the parts, in their order.
pub fn hash_parts<'p>(hasher: &mut impl Hasher, parts: impl IntoIterator<Item = &'p [u8]>) {
    for part in parts {
        // Lengths keep the parts apart: ("ab", "c") is not ("a", "bc").
        hasher.write_u64(part.len() as u64);
        hasher.write(part);
    }
}

#[cfg(test)]
mod tests {
    use siphasher::sip::SipHasher13;

    use super::*;

    #[test]
    fn parts_that_read_alike_end_to_end_are_told_apart() {
        let hash = |parts: &[&str]| {
            let mut hasher = SipHasher13::new();
            hash_parts(&mut hasher, parts.iter().map(|part| part.as_bytes()));
            hasher.finish()
        };
        assert_eq!(hash(&["ab", "c"]), hash(&["ab", "c"]));
        for other in [&["a", "bc"][..], &["abc"], &["ab", "c", ""], &["c", "ab"]] {
            assert_ne!(hash(&["ab", "c"]), hash(other), "{other:?}");
        }
    }
}
