//! The configuration as the code uses it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Uri;
use serde::{Deserialize, Serialize};

use super::bundle;
use super::canned::{CannedAnswers, Template};
use super::digest::KeyDigest;
use super::engine::EngineKind;
use super::hop::HopAddress;
use super::media::MediaUrls;
use super::response_cache::CacheSettings;
use super::settings::{
    Cors, Estimates, Explain, Headroom, Hops, Leases, Load, Permits, Prefixes, Queue, Refresh, Retries, Routing,
    Sessions, Signals, Sizes, Streams, Timeouts,
};
use crate::budget::{BudgetLimits, Rate};
use crate::cluster::BreakerPolicy;
use crate::cluster::{ClusterPolicy, PolicyDigest, ScalingPolicy};
use crate::detect::{DetectionOverrides, DetectionPolicy};
use crate::geo::Coordinates;
use crate::ids::{
    BudgetId, ClusterName, Jurisdiction, ModelName, RegionName, ReplicaName, SecretName, TableName, TenantName, Tokens,
    VersionName,
};
use crate::rollout::RolloutPolicy;

/// A sound configuration. [`Config::parse`](Self::parse) makes it, and [`Config::from_bundle`](Self::from_bundle) of what
/// that has made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// What tells this configuration from others: the first 16 hexadecimal digits of its text's SHA-256.
    pub version: String,
    /// Where clusters stand.
    pub regions: BTreeMap<RegionName, Region>,
    /// Clusters by name.
    pub clusters: BTreeMap<ClusterName, Arc<Cluster>>,
    /// Models by name.
    pub models: BTreeMap<ModelName, Arc<Model>>,
    /// Other names that clients may ask for a model by.
    pub aliases: BTreeMap<String, ModelName>,
    /// What is answered where no model does, unless the store has other texts.
    pub canned: Arc<CannedAnswers>,
    /// Tenants, in the order written.
    pub tenants: Vec<Arc<Tenant>>,
    /// Who may read metrics and change the configuration.
    pub admin: Admin,
    /// How large what comes in may be.
    pub sizes: Sizes,
    /// How long a request, and each step of it, may take.
    pub timeouts: Timeouts,
    /// How often a request is tried.
    pub retries: Retries,
    /// What a client sees of a stream while nothing comes.
    pub streams: Streams,
    /// What is expected where nothing is known.
    pub estimates: Estimates,
    /// Who runs on which replica, as clusters' cells count it.
    pub permits: Permits,
    /// How busy clusters are, as edge locations know it.
    pub load: Load,
    /// Which cluster and which replica, and how it is known where a request came in.
    pub routing: Routing,
    /// When a replica that fails is left alone.
    pub breaker: BreakerPolicy,
    /// What budgets lend to edge locations.
    pub leases: Leases,
    /// What is left for requests of higher priority.
    pub headroom: Headroom,
    /// What waits where there is no room.
    pub queue: Queue,
    /// What engines say of themselves.
    pub signals: Signals,
    /// Which records of requests are kept.
    pub explain: Explain,
    /// Which web pages may ask.
    pub cors: Cors,
    /// How clients name a conversation.
    pub sessions: Sessions,
    /// The index of prefixes.
    pub prefixes: Prefixes,
    /// Answers that are given again.
    pub response_cache: CacheSettings,
    /// How gateways for the edge and gateways beside the clusters know each other.
    pub hops: Hops,
    /// Where engines may fetch images, audio and videos.
    pub media: MediaUrls,
    /// How often what is stored is read anew.
    pub refresh: Refresh,
    /// What is looked for in answers; [`Config::detection`](Self::detection) has it of a model and a tenant.
    pub detection: DetectionPolicy,
}

impl Config {
    /// The model that a client asks for by its name or an alias.
    pub fn model(&self, asked: &str) -> Option<&Arc<Model>> {
        self.models
            .get(asked)
            .or_else(|| self.models.get(self.aliases.get(asked)?))
    }

    /// The engines that a request for the model may come to, on all tiers of its ladder; some more than once.
    pub fn engines<'c>(&'c self, model: &'c Model) -> impl Iterator<Item = EngineKind> + Clone + 'c {
        let tiers = model.ladder.tiers.iter().filter_map(|tier| match tier {
            Tier::Model(name) => self.models.get(name),
            Tier::Canned(_) => None,
        });
        tiers.flat_map(|model| model.serving.iter().map(|serving| serving.cluster.engine))
    }

    /// The region of a name, which an edge location's code may be in capitals.
    pub fn region(&self, name: &str) -> Option<&Region> {
        let same = |region: &&Region| region.name.as_str().eq_ignore_ascii_case(name);
        self.regions.get(name).or_else(|| self.regions.values().find(same))
    }
}

/// A place with clusters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Its name.
    pub name: RegionName,
    /// Where it is.
    pub coordinates: Coordinates,
    /// Which jurisdiction data there is under.
    pub jurisdiction: Jurisdiction,
    /// The gateway that runs beside its clusters, where there is one.
    pub hop: Option<HopAddress>,
}

/// Replicas of one engine in one region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// Where it stands.
    pub region: Region,
    /// What software its replicas run.
    pub engine: EngineKind,
    /// At least one.
    pub replicas: Vec<Replica>,
    /// What its cell has to know: the replicas' names, in the order of `replicas`, and what fits into one of them, at
    /// least 1 request and 1 token.
    pub policy: Arc<ClusterPolicy>,
    /// The policy's digest.
    pub policy_digest: PolicyDigest,
    /// Tokens of a block of its replicas' kv_caches, of which a request takes whole ones; at least 1.
    pub kv_block_tokens: u32,
    /// The secret that its replicas want as a bearer token.
    pub secret: Option<SecretName>,
    /// Uncached prompt tokens that one replica reads in a second; greater than 0.
    pub prefill_tokens_per_s: f64,
    /// What a million tokens cost there, in a unit that all clusters share; at least 0.
    pub price: f64,
    /// The path of the page on which its engines say what they have to do; `None` where they are not asked.
    pub signals_path: Option<String>,
    /// How many of its replicas are advised to run.
    pub scaling: ScalingPolicy,
}

impl Cluster {
    /// What so many tokens take of a replica's kv_cache.
    pub fn in_blocks(&self, Tokens(tokens): Tokens) -> Tokens {
        let block = u64::from(self.kv_block_tokens);
        Tokens(tokens.div_ceil(block).saturating_mul(block))
    }
}

/// One engine process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Its base URL without a trailing slash, such as `http://10.0.0.7:8000`; paths such as `/v1/models` follow it.
    pub name: ReplicaName,
    /// The same, taken apart.
    #[serde(with = "bundle::url")]
    pub url: Uri,
}

/// What a client can ask for by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// Most tokens of prompt and answer together.
    pub context_length: Tokens,
    /// The table that counts its tokens; without one they are estimated.
    pub tokens: Option<TableName>,
    /// What parts of a prompt that are not text are counted as.
    pub part_tokens: PartTokens,
    /// Who is named as `owned_by` in lists of models.
    pub owned_by: String,
    /// When it was made, in seconds since the Unix epoch, for lists of models.
    pub created: u64,
    /// Which clusters serve it, at least one, in the order written.
    pub serving: Vec<Serving>,
    /// How its versions take over from each other; `None` where it has no two.
    pub rollout: Option<Arc<RolloutPolicy>>,
    /// What answers, in order, when a tier cannot. Its first tier is this model itself.
    pub ladder: Ladder,
    /// What is looked for in its answers otherwise than in others'.
    pub detection: DetectionOverrides,
}

/// How many tokens one part of a prompt that is not text is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartTokens {
    /// An image.
    pub image: Tokens,
    /// A piece of audio.
    pub audio: Tokens,
    /// A video.
    pub video: Tokens,
}

/// A cluster that serves a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Serving {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The name under which its engine knows the model.
    pub served_name: String,
    /// The version that the cluster runs; every one of the model's has one, or none.
    pub version: Option<VersionName>,
}

/// The tiers that a request goes down. Never empty; a canned tier can only be the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// In order, best first.
    pub tiers: Vec<Tier>,
}

impl Ladder {
    /// The text at its bottom, where it has one.
    pub fn canned(&self) -> Option<&Template> {
        self.tiers.iter().find_map(|tier| match tier {
            Tier::Canned(text) => Some(text),
            Tier::Model(_) => None,
        })
    }
}

/// One rung of a ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Tier {
    /// A model by name; it exists in [`Config::models`].
    Model(ModelName),
    /// A text for when nothing else can answer.
    Canned(Template),
}

/// Who sends requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub name: TenantName,
    /// Its API keys.
    pub keys: Vec<TenantKey>,
    /// Names of models it may ask for; `None` for all.
    pub models: Option<Vec<ModelName>>,
    /// Jurisdictions that may see its data; `None` for all.
    pub jurisdictions: Option<Vec<Jurisdiction>>,
    /// Fields that steer engines, by [`EngineKind::steering_fields`], which its requests may have all the same.
    pub engine_fields: Vec<String>,
    /// What keeps the prefixes of its prompts apart in engines' caches; tenants with the same one share them.
    pub cache_salt: String,
    /// What it may use.
    pub budgets: Vec<Arc<Budget>>,
    /// What is looked for in answers to it otherwise than to others.
    pub detection: DetectionOverrides,
}

/// An API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantKey {
    /// Its SHA-256 digest.
    pub digest: KeyDigest,
    /// Which requests are refused first where something is short.
    pub priority: Priority,
}

/// How much a request matters where not all can be served, in the order in which they are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Refused while there is still room for others.
    Low,
    /// As most are.
    #[default]
    Normal,
    /// Admitted where something is kept for it.
    High,
}

impl Priority {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// What a tenant may use of all models or of a group of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Whose it is, and its name.
    pub id: BudgetId,
    /// The models that it is about; `None` for all.
    pub models: Option<Vec<ModelName>>,
    /// What it allows.
    pub limits: BudgetLimits,
    /// What a cached prompt token counts, in percent of another.
    pub cached_prompt_percent: u32,
    /// Tokens that a canned response counts.
    pub canned_tokens: u64,
    /// What an edge location may admit by itself while the budget's cell cannot be reached; `None`: nothing.
    pub unreachable: Option<Rate>,
    /// Where its cell is best kept.
    pub near: Coordinates,
}

/// Operators' own access.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admin {
    /// SHA-256 digests of admin keys. Without any, `/admin/…` is closed, and `/metrics` tells everybody figures without names.
    pub keys: Vec<KeyDigest>,
    /// Digests of those that may look and change nothing.
    pub read_keys: Vec<KeyDigest>,
}

impl Admin {
    /// Whether nobody has a key.
    pub fn is_closed(&self) -> bool {
        self.keys.is_empty() && self.read_keys.is_empty()
    }
}

impl Budget {
    /// Whether it covers requests for that model.
    pub fn covers(&self, model: &ModelName) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(model))
    }
}

impl Tenant {
    /// Whether it may ask for that model.
    pub fn may_use(&self, model: &ModelName) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(model))
    }

    /// Budgets that cover a request of its whichever model it turns out to be for.
    pub fn budgets_of_any_model(&self) -> impl Iterator<Item = &Arc<Budget>> {
        let of_all = |models: &Vec<ModelName>| {
            let allowed = self.models.as_ref();
            allowed.is_some_and(|allowed| allowed.iter().all(|model| models.contains(model)))
        };
        let budgets = self.budgets.iter();
        budgets.filter(move |budget| budget.models.as_ref().is_none_or(of_all))
    }
}
