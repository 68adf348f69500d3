//! Which replica may have a prompt's prefix warm: a fingerprint of the part that requests of one conversation share.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::api::Prompt;
use crate::ids::ModelName;

/// The affinity key: a hash over the salt, model and the head of the prompt. `None` where there is no prefix to keep
/// warm. Requests of different salts never share one, since engines do not share their prefixes.
pub fn affinity(salt: &str, model: &ModelName, prompt: &Prompt) -> Option<u64> {
    if prompt.head.is_empty() {
        return None;
    }
    let head = prompt.head.iter().map(AsRef::as_ref);
    Some(hash([salt, model.as_str()].map(str::as_bytes).into_iter().chain(head)))
}

/// The same of a session, which its client has named: all of it belongs to one replica, whatever its prompts begin with.
pub fn session_affinity(salt: &str, model: &ModelName, session: &[u8]) -> u64 {
    // No JSON, which the parts of a prompt are.
    let kind = &b"session"[..];
    hash([salt.as_bytes(), model.as_str().as_bytes(), kind, session].into_iter())
}

fn hash<'p>(parts: impl Iterator<Item = &'p [u8]>) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        // Lengths keep the parts apart: ("ab", "c") is not ("a", "bc").
        hasher.write_u64(part.len() as u64);
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_apart_by_their_whole_names() {
        let key = |salt: &str, session: &str| session_affinity(salt, &"m".into(), session.as_bytes());
        assert_eq!(key("t", "session-1"), key("t", "session-1"));
        assert_ne!(key("t", "session-1"), key("t", "session-12"));
        assert_ne!(key("t", "session-1"), key("u", "session-1"));
        let head = vec!["session-1".into()];
        assert_ne!(
            affinity("t", &"m".into(), &Prompt { head }),
            Some(key("t", "session-1"))
        );
    }

    #[test]
    fn salts_models_and_heads_are_told_apart() {
        let key = |salt: &str, model: &str, head: &[&'static str]| {
            let prompt = Prompt {
                head: head.iter().map(|part| (*part).into()).collect(),
            };
            affinity(salt, &model.into(), &prompt)
        };
        assert_eq!(key("t", "m", &["a"]), key("t", "m", &["a"]));
        for other in [
            key("u", "m", &["a"]),
            key("t", "n", &["a"]),
            key("t", "m", &["b"]),
            key("t", "m", &["a", ""]),
        ] {
            assert_ne!(key("t", "m", &["a"]), other);
        }
        assert_eq!(key("t", "m", &[]), None);
    }
}
