//! Which replica may have a prompt's prefix warm: a fingerprint of the part that requests of one conversation share.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::api::Prompt;
use crate::ids::{ModelName, TenantName};

/// The affinity key: a hash over tenant, model and the head of the prompt. `None` where there is no prefix to keep
/// warm. Tenants never share one, since they must not share prefixes.
pub fn affinity(tenant: &TenantName, model: &ModelName, prompt: &Prompt) -> Option<u64> {
    if prompt.head.is_empty() {
        return None;
    }
    let mut hasher = SipHasher13::new();
    for part in [tenant.as_str(), model.as_str()]
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
    fn tenants_models_and_heads_are_told_apart() {
        let key = |tenant: &str, model: &str, head: &[&'static str]| {
            let prompt = Prompt {
                head: head.iter().map(|part| (*part).into()).collect(),
            };
            affinity(&tenant.into(), &model.into(), &prompt)
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
