//! Names prompt prefixes by hashing full blocks of 16 tokens into a chain: equal hashes mean equal tokens from the
//! start, for the same adapter and cache salt.
//!
//! As vLLM does it (`v1/core/kv_cache_utils.py`, `hash_block_tokens`): each block's hash takes its parent's in, and
//! what must keep prefixes apart (LoRA adapter, `cache_salt`) goes into the first.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Tokens in one block.
pub const BLOCK_TOKENS: u32 = 16;

/// Names a prefix that ends at a block's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockHash(pub u64);

/// What keeps equal prompts apart.
#[derive(Debug, Clone, Copy, Default)]
pub struct PrefixScope<'a> {
    /// LoRA adapter that the request names.
    pub adapter: Option<&'a str>,
    /// The request's `cache_salt`.
    pub cache_salt: Option<&'a str>,
}

/// The hashes of all full blocks of `tokens`, first to last.
#[must_use]
pub fn block_hashes(scope: PrefixScope<'_>, tokens: &[u32]) -> Vec<BlockHash> {
    let mut parent = scope_hash(scope);
    tokens
        .chunks_exact(BLOCK_TOKENS as usize)
        .map(|block| {
            let mut hasher = SipHasher13::new_with_keys(parent, 0);
            for token in block {
                hasher.write_u32(*token);
            }
            parent = hasher.finish();
            BlockHash(parent)
        })
        .collect()
}

fn scope_hash(scope: PrefixScope<'_>) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    for part in [scope.adapter, scope.cache_salt] {
        let bytes = part.unwrap_or_default().as_bytes();
        hasher.write_u64(bytes.len() as u64);
        hasher.write(bytes);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_blocks_are_named_and_each_names_all_that_is_before_it() {
        let tokens: Vec<u32> = (0..40).collect();
        let hashes = block_hashes(PrefixScope::default(), &tokens);
        assert_eq!(hashes.len(), 2);
        assert_eq!(hashes[..1], block_hashes(PrefixScope::default(), &tokens[..16]));

        let mut other_start = tokens;
        other_start[0] = 99;
        assert_ne!(hashes[1], block_hashes(PrefixScope::default(), &other_start)[1]);
    }

    #[test]
    fn adapter_and_cache_salt_keep_prefixes_apart() {
        let tokens: Vec<u32> = (0..16).collect();
        let scopes = [
            PrefixScope::default(),
            PrefixScope {
                adapter: Some("a"),
                cache_salt: None,
            },
            PrefixScope {
                adapter: None,
                cache_salt: Some("a"),
            },
        ];
        let [plain, adapter, salt] = scopes.map(|scope| block_hashes(scope, &tokens)[0]);
        assert!(plain != adapter && adapter != salt && plain != salt);
    }
}
