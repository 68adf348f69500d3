//! The configuration of a fleet: one tenant with one budget, and clusters that have room for everybody. Answers are
//! expected to be as short as they are.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::Gateway;
use tidegate_core::budget::Rate;
use tidegate_core::config::{Config, KeyDigest};
use tidegate_core::geo::Location;
use tidegate_core::ids::BudgetId;
use tidegate_core::tokens::Tables;

/// A configuration that has been read once, for many gateways.
pub struct SharedConfig {
    text: Bytes,
    config: Arc<Config>,
}

impl SharedConfig {
    /// With that rate of tokens. Cached tokens cost nothing, so that engines can have a request take less than its prompt.
    pub fn new(rate: Rate) -> Self {
        let text = text(rate);
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

/// The one budget.
pub fn budget() -> BudgetId {
    BudgetId {
        tenant: "payer".into(),
        name: "all".into(),
    }
}

/// What a client says who it is.
pub const AUTHORIZATION: &str = "Bearer key";

/// Where a location is, by its number: each is next to one of the clusters.
pub fn location(at: usize) -> Location {
    Location {
        code: format!("r{}", at % REGIONS),
        coordinates: None,
    }
}

fn text(rate: Rate) -> String {
    let (digest, Rate { per_minute, burst }) = (KeyDigest::of("key"), rate);
    let mut text = format!(
        r#"
[signals]
enabled = false

[estimates]
output_tokens = 1

[[tenants]]
name = "payer"
keys = ["{digest}"]
[[tenants.budgets]]
name = "all"
tokens_per_minute = {per_minute}
burst_tokens = {burst}
cached_prompt_percent = 0
"#
    );
    for region in 0..REGIONS {
        let longitude = region * 180 / REGIONS;
        text += &format!(
            r#"
[[regions]]
name = "r{region}"
latitude = 0
longitude = {longitude}
jurisdiction = "anywhere"

[[clusters]]
name = "c{region}"
region = "r{region}"
engine = "vllm"
replicas = ["http://engine-{region}"]
kv_cache_tokens = 1_000_000_000_000
prefill_tokens_per_s = 1_000_000
max_running = 1_000_000
"#
        );
    }
    let serving: Vec<_> = (0..REGIONS)
        .map(|region| format!("{{ cluster = \"c{region}\" }}"))
        .collect();
    text + &format!(
        "[[models]]\nname = \"model\"\ncontext_length = {CONTEXT}\nserving = [{}]\n",
        serving.join(", ")
    )
}

/// The model's context, in tokens.
pub const CONTEXT: u64 = 100_000;

/// As many clusters, each in a region of its own.
const REGIONS: usize = 8;
