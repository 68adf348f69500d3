//! Which row is a prompt's.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use crate::api::CacheSalt;
use crate::ids::{ModelName, PrefixKey};
use crate::parts::hash_parts;

/// The name of a row in the store. It is made of the salt and the model that the prompt is for, so that nobody can name
/// a row of prompts under another salt, whatever he takes for a prefix's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey(String);

impl RowKey {
    /// The row of prompts that are sent to a replica by `affinity`.
    pub fn of(salt: &CacheSalt, model: &ModelName, affinity: PrefixKey) -> Self {
        let mut hasher = SipHasher13::new();
        hash_parts(&mut hasher, [salt.as_str().as_bytes(), model.as_str().as_bytes()]);
        hasher.write_u64(affinity.0);
        Self(format!("prefix/{:032x}", hasher.finish128().as_u128()))
    }

    /// The row that says at which version a conversation has begun, by the key that tells it from others.
    pub fn of_version(salt: &CacheSalt, model: &ModelName, conversation: PrefixKey) -> Self {
        let mut hasher = SipHasher13::new();
        hash_parts(&mut hasher, [salt.as_str().as_bytes(), model.as_str().as_bytes()]);
        hasher.write_u64(conversation.0);
        Self(format!("version/{:032x}", hasher.finish128().as_u128()))
    }

    /// As the store has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Dialect, Endpoint};

    impl RowKey {
        /// One of many for tests.
        pub(in crate::prefix::index) fn numbered(number: u64) -> Self {
            Self(number.to_string())
        }
    }

    fn salt(tenant: &str, own: &str) -> CacheSalt {
        let body = format!(r#"{{"model":"m","prompt":"a","cache_salt":"{own}"}}"#);
        let request = Dialect::decode(Endpoint::Completions, body.into(), 32).unwrap();
        request.cache_salt.within(tenant)
    }

    #[test]
    fn nobody_names_a_row_of_another_tenant() {
        let key = |tenant: &str, own: &str, model: &str, affinity| {
            RowKey::of(&salt(tenant, own), &model.into(), PrefixKey(affinity))
        };
        let one = key("acme", "", "m", 1);
        assert_eq!(one, key("acme", "", "m", 1));
        for other in [
            key("other", "", "m", 1),
            key("acme", "own", "m", 1),
            key("acme", "", "n", 1),
            key("acme", "", "m", 2),
        ] {
            assert_ne!(one, other);
        }
        // A client's own salt is hashed within its tenant's, whatever it looks like.
        assert_ne!(key("other", salt("acme", "").as_str(), "m", 1), one);
    }
}
