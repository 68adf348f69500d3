//! What keeps the prefixes of one tenant's prompts apart from those of others in engines' caches: a prompt that another
//! has sent answers sooner, and who can choose whose prefixes he shares learns by that what others ask.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::endpoint::Endpoint;
use super::json_edits::Edit;
use crate::config::EngineKind;

/// The salt of a request's prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSalt {
    salt: String,
    /// Where in the body it belongs, and what stands before it there.
    at: Range<usize>,
    before: &'static str,
    is_of_tenant: bool,
}

impl CacheSalt {
    /// The client's own, empty where it has none. It belongs `at` that place of the body, behind `before`.
    pub(super) fn of_client(salt: String, at: Range<usize>, before: &'static str) -> Self {
        Self {
            salt,
            at,
            before,
            is_of_tenant: false,
        }
    }

    /// The same within what is the tenant's: 32 hexadecimal digits of a hash over both, so that no client can choose
    /// another tenant's.
    pub fn within(self, tenant: &str) -> Self {
        let mut hasher = Sha256::new();
        for part in ["tidegate cache salt", tenant, &self.salt] {
            // Lengths keep the parts apart: ("ab", "c") is not ("a", "bc").
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let digest = hasher.finalize();
        Self {
            salt: digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
            is_of_tenant: true,
            ..self
        }
    }

    /// The salt.
    pub fn as_str(&self) -> &str {
        &self.salt
    }

    /// What tells it to an engine, where that knows salts and this is a tenant's.
    pub(super) fn edit(&self, engine: EngineKind, endpoint: Endpoint) -> Option<Edit<'static>> {
        let is_told = self.is_of_tenant && takes_salt(engine, endpoint);
        is_told.then(|| (self.at.clone(), format!("{}\"{}\"", self.before, self.salt).into()))
    }
}

/// Whether the engine knows `cache_salt` there: vLLM in all of its requests (`entrypoints/openai/*/protocol.py`,
/// `entrypoints/pooling/base/protocol.py`), SGLang where it generates, TensorRT-LLM in chats, and refuses it elsewhere.
/// TGI and llama.cpp's server cannot keep prefixes apart.
fn takes_salt(engine: EngineKind, endpoint: Endpoint) -> bool {
    match (engine, endpoint) {
        (EngineKind::Vllm, _)
        | (EngineKind::Sglang, Endpoint::Chat | Endpoint::Completions)
        | (EngineKind::TensorrtLlm, Endpoint::Chat) => true,
        (EngineKind::Sglang, Endpoint::Embeddings)
        | (EngineKind::TensorrtLlm, Endpoint::Completions | Endpoint::Embeddings)
        | (EngineKind::Tgi | EngineKind::LlamaCpp, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salt(tenant: &str, own: &str) -> String {
        let client = CacheSalt::of_client(own.to_owned(), 0..0, "");
        client.within(tenant).as_str().to_owned()
    }

    #[test]
    fn salts_are_of_one_tenant_and_keep_the_clients_own_apart() {
        let salts = [
            salt("a", ""),
            salt("b", ""),
            salt("a", "b"),
            salt("ab", ""),
            salt("b", "a"),
        ];
        for (index, one) in salts.iter().enumerate() {
            assert!(one.len() == 32 && !salts[index + 1..].contains(one));
        }
        assert_eq!(salt("a", "b"), salt("a", "b"));
        assert_ne!(
            salt("b", ""),
            salt("a", &salt("b", "")),
            "nobody gets to another's salt by naming it"
        );
    }

    #[test]
    fn a_clients_own_salt_is_told_to_nobody() {
        let client = CacheSalt::of_client("mine".to_owned(), 3..3, ",\"cache_salt\":");
        assert_eq!(client.edit(EngineKind::Vllm, Endpoint::Chat), None);
        let (at, edit) = client.within("a").edit(EngineKind::Vllm, Endpoint::Chat).unwrap();
        assert_eq!(
            (at, edit),
            (3..3, format!(",\"cache_salt\":\"{}\"", salt("a", "mine")).into())
        );
    }
}
