//! The key of a session, which its client has named: all of it belongs to one replica, whatever its prompts begin with.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::ids::{ModelName, PrefixKey};
use crate::parts::hash_parts;

/// The key of a session of that name. Requests of different salts never share one, since engines do not share their
/// prefixes.
pub fn session_affinity(salt: &str, model: &ModelName, session: &[u8]) -> PrefixKey {
    let mut hasher = SipHasher13::new();
    // No name of a part of a prompt, with which other chains begin.
    let parts = [&b"session"[..], salt.as_bytes(), model.as_str().as_bytes(), session];
    hash_parts(&mut hasher, parts);
    PrefixKey(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_apart_by_their_whole_names() {
        let key = |salt: &str, model: &str, session: &str| session_affinity(salt, &model.into(), session.as_bytes());
        assert_eq!(key("t", "m", "session-1"), key("t", "m", "session-1"));
        assert_ne!(key("t", "m", "session-1"), key("t", "m", "session-12"));
        assert_ne!(key("t", "m", "session-1"), key("u", "m", "session-1"));
        assert_ne!(key("t", "m", "session-1"), key("t", "n", "session-1"));
        assert_ne!(key("t", "m", "nsession-1"), key("t", "mn", "session-1"));
    }
}
