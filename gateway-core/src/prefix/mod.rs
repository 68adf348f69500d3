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
    let mut hasher = SipHasher13::new();
    for part in [salt, model.as_str()]
        .map(str::as_bytes)
        .into_iter()
        .chain(prompt.head.iter().map(AsRef::as_ref))
    {
        // Lengths keep the parts apart: ("ab", "c") is not ("a", "bc").
        hasher.write_u64(part.len() as u64);
        hasher.write(part);
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

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
