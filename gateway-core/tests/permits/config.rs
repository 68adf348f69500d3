//! The configuration of a fleet: one cluster of two small replicas.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::Gateway;
use tidegate_core::cluster::Capacity;
use tidegate_core::config::{Config, KeyDigest};
use tidegate_core::ids::{ReplicaName, Tokens};
use tidegate_core::tokens::Tables;

/// What each replica has room for.
pub const ROOM: Capacity = Capacity {
    requests: 100,
    kv_tokens: Tokens(2_000),
};

/// What a client says who it is.
pub const AUTHORIZATION: &str = "Bearer key";

/// The cluster.
pub const CLUSTER: &str = "small";

/// Its replicas.
pub fn replicas() -> [ReplicaName; 2] {
    ["http://a".into(), "http://b".into()]
}

/// A configuration that has been read once, for many gateways.
pub struct SharedConfig {
    text: Bytes,
    config: Arc<Config>,
}

impl SharedConfig {
    pub fn new() -> Self {
        let text = text();
        let config = Config::parse(&text, Some(&[])).unwrap_or_else(|errors| panic!("{errors}"));
        Self {
            text: text.into(),
            config: Arc::new(config),
        }
    }

    /// A gateway that begins.
    pub fn gateway(&self) -> Arc<Gateway> {
        Gateway::with_config(Arc::clone(&self.config), self.text.clone(), Tables::default())
    }
}

fn text() -> String {
    let digest = KeyDigest::of("key");
    let Capacity { requests, kv_tokens } = ROOM;
    format!(
        r#"
[[regions]]
name = "fra"
latitude = 50.1
longitude = 8.7
jurisdiction = "eu"

[[clusters]]
name = "{CLUSTER}"
region = "fra"
engine = "vllm"
replicas = ["http://a", "http://b"]
kv_cache_tokens = {}
prefill_tokens_per_s = 1_000_000
max_running = {requests}

[[models]]
name = "model"
context_length = 8192
serving = [{{ cluster = "{CLUSTER}" }}]

[[tenants]]
name = "acme"
keys = ["{digest}"]
"#,
        kv_tokens.0
    )
}
