//! The configuration as it is written: every table and key of `gateway.toml`, with its kind, bounds and default. The
//! comments here are what editors show.

use std::time::Duration;

use super::canned::{Canned, TemplateText};
use super::detection::Detection;
use super::digest::KeyDigest;
use super::hop::Hop;
use super::kinds::{Decimal, Flag, Limit, List, Whole};
use super::read::{Kind, Node};
use super::report::At;
use super::report::Report;
use super::response_cache::ResponseCache;
use super::section::section;
use super::settings::written::{
    Breaker, Cors, Estimates, Explain, Headroom, Health, Hops, Leases, Load, Media, Permits, Prefixes, Queue, Refresh,
    Retries, Routing, Sessions, Signals, Sizes, Streams, Timeouts,
};
use super::texts::{Digest, Engine, EngineField, ModelId, Name, PagePath, Priority, ReplicaUrl, Secret, Text};
use crate::budget::{MOST_PER_DAY, Rate};
use crate::ids::Tokens;

section! {
    /// The configuration of a Tidegate gateway.
    Root {
        /// Places with clusters, one `[[regions]]` table each.
        regions: List<Region, 1>,
        /// Replicas of one engine in one region, one `[[clusters]]` table for each such group.
        clusters: List<Cluster, 1>,
        /// What clients can ask for by name, one `[[models]]` table each.
        models: List<Model, 1>,
        /// What answers when a model cannot, one `[[ladders]]` table for each model that has such tiers.
        ladders: List<Ladder, 0>,
        /// How versions of a model's clusters take over from each other, one `[[rollouts]]` table for each model for which
        /// the defaults do not do.
        rollouts: List<Rollout, 0>,
        /// What is answered where no model does. Each key has a default.
        canned: Canned,
        /// Who sends requests, one `[[tenants]]` table each.
        tenants: List<Tenant, 1>,
        /// Operators' own access.
        admin: Admin,
        /// How large what comes in may be. Each key here and in the tables below has a default.
        sizes: Sizes,
        /// How long a request, and each step of it, may take.
        timeouts: Timeouts,
        /// How often a request is tried.
        retries: Retries,
        /// What a client sees of a stream while nothing comes.
        streams: Streams,
        /// What is expected where nothing is known.
        estimates: Estimates,
        /// Permits: who runs on which replica, as clusters' cells count it.
        permits: Permits,
        /// How busy clusters are, as edge locations know it.
        load: Load,
        /// Which cluster and which replica, and how it is known where a request came in.
        routing: Routing,
        /// When a replica that fails is left alone.
        breaker: Breaker,
        /// When a replica is taken for ill that has not failed.
        health: Health,
        /// Leases: what budgets lend to edge locations.
        leases: Leases,
        /// The shares of budgets, and of clusters' room, that are left for requests of higher priority.
        headroom: Headroom,
        /// What waits where no replica of a cluster has room.
        queue: Queue,
        /// What engines say of themselves.
        signals: Signals,
        /// Records of why requests went where they went.
        explain: Explain,
        /// Which web pages may ask, and read what is answered.
        cors: Cors,
        /// How clients name a conversation, so that all of it goes to one replica.
        sessions: Sessions,
        /// The index of prefixes, which tells where prompts are warm.
        prefixes: Prefixes,
        /// Answers that are given again to the same request of the same tenant.
        response_cache: ResponseCache,
        /// How gateways for the edge and gateways beside the clusters know each other.
        hops: Hops,
        /// What prompts hold besides text.
        media: Media,
        /// How often what is stored is read anew.
        refresh: Refresh,
        /// What is looked for in answers, and what follows where it is found.
        detection: Detection,
    }
}

section! {
    /// A place with clusters. Its coordinates give the round trip from each edge location.
    Region {
        /// Its name, unique among regions. Where a platform tells an edge location's code but not its coordinates, a
        /// region of that name, in capitals or not, lends its own.
        name: Name,
        /// Degrees north of the equator.
        latitude: Decimal<-90, 90>,
        /// Degrees east of Greenwich.
        longitude: Decimal<-180, 180>,
        /// The jurisdiction that data there is under, such as `eu`. Tenants can be kept to some.
        jurisdiction: Name,
        /// The region hop, a gateway that runs beside the clusters there with the role `region`: its base URL or, where both
        /// are Cloudflare Workers, `binding:` and the name of the service binding that leads to it. Gateways with the role
        /// `edge` send their requests to it; left out, all of them ask the replicas there themselves.
        hop: Option<Hop>,
    }
}

section! {
    /// Replicas of one engine in one region.
    Cluster {
        /// Its name, unique among clusters. Responses and metrics show it.
        name: Name,
        /// The region that it stands in, by name.
        region: Name,
        /// The software that its replicas run.
        engine: Engine,
        /// The replicas' base URLs; paths such as `/v1/models` follow them. A replica belongs to one cluster only.
        replicas: List<ReplicaUrl, 1>,
        /// The name of the secret that the replicas want as a bearer token; left out, none is sent. The value stays with
        /// the platform: an environment variable, a secret of the Worker, a variable of the Spin application.
        secret: Option<Secret>,
        /// Tokens that fit into one replica's kv_cache, as the engine logs at its start.
        kv_cache_tokens: Whole<Tokens, 1, 1_000_000_000_000>,
        /// Tokens of a block of it, such as vLLM's `--block-size`: a request takes whole blocks.
        kv_block_tokens: Limit<u32, 1, 1, 65_536>,
        /// Prompt tokens in no cache that one replica reads in a second.
        prefill_tokens_per_s: Decimal<1, 1_000_000_000>,
        /// Requests that one replica runs at once, such as vLLM's `--max-num-seqs`.
        max_running: Whole<u32, 1, 1_000_000>,
        /// What a million tokens cost there, in a unit that all clusters share; `routing.price_weight_ms` says what that is
        /// worth. Nothing when left out.
        price: Option<Decimal<0, 1_000_000>>,
        /// Whether its engines are asked what they say of themselves, where `signals.enabled` says so of all.
        signals: Flag<true>,
        /// Where they say it: `/metrics` when left out. SGLang has `/v1/loads` too, and llama.cpp `/slots`.
        signals_path: Option<PagePath>,
        /// How many of its replicas are advised to run. Each key has a default.
        scaling: Scaling,
    }
}

section! {
    /// How many replicas of a cluster are advised to run, to whoever starts and ends them.
    Scaling {
        /// Fewest of them; 0 where it may be scaled to nothing.
        min_replicas: Limit<u32, 1, 0, 1_000_000>,
        /// Most of them, no more than `replicas` has; all of those when left out.
        max_replicas: Option<Whole<u32, 1, 1_000_000>>,
        /// To how much of its speed and room each should be used, in percent.
        target_percent: Limit<u8, 80, 10, 100>,
        /// Time from the advice of a replica to its first answer, in milliseconds, until that has been measured.
        cold_start_ms: Limit<Duration, 120_000, 1_000, 3_600_000>,
        /// Time for which less must have been needed before less is advised, in milliseconds.
        scale_down_after_ms: Limit<Duration, 300_000, 0, 3_600_000>,
        /// By how much the advice may rise in a minute, in percent; by 4 replicas at least.
        step_up_percent: Limit<u32, 100, 1, 1_000>,
        /// By how much it may fall in a minute, in percent; by 1 replica at least.
        step_down_percent: Limit<u32, 25, 1, 100>,
        /// Time to first token beyond which, at the 95th percentile of streams, one replica more is advised than serve, in
        /// milliseconds; none when left out.
        ttft_ms: Option<Whole<Duration, 1, 3_600_000>>,
    }
}

section! {
    /// A model that clients can ask for.
    Model {
        /// Its name, unique among models and aliases; `canned` is taken.
        name: ModelId,
        /// Other names that clients may ask for it by.
        aliases: List<ModelId, 0>,
        /// Most tokens of prompt and answer together.
        context_length: Whole<Tokens, 1, 1_000_000_000>,
        /// The table that counts its tokens exactly: `NAME` for a file `NAME.tokens`, made by `tidegate tokens compile`,
        /// that the deployment carries. Left out, tokens are estimated.
        tokens: Option<Name>,
        /// Tokens that one image in a prompt is counted as; a prompt with one counts as estimated.
        image_tokens: Limit<Tokens, 1_024, 0, 1_000_000>,
        /// Tokens that one piece of audio in a prompt is counted as; a prompt with one counts as estimated.
        audio_tokens: Limit<Tokens, 512, 0, 1_000_000>,
        /// Tokens that one video in a prompt is counted as; a prompt with one counts as estimated.
        video_tokens: Limit<Tokens, 4_096, 0, 1_000_000>,
        /// Who is named as the model's owner in `/v1/models`; `tidegate` when left out.
        owned_by: Option<Text<128>>,
        /// When it was made, in seconds since the Unix epoch, for `/v1/models`.
        created: Limit<u64, 0, 0, 253_402_300_799>,
        /// The clusters that serve it, each once.
        serving: List<Serving, 1>,
        /// What is looked for in its answers, where that is not what `[detection]` says.
        detection: Detection,
    }
}

section! {
    /// A cluster that serves the model.
    Serving {
        /// The cluster, by name.
        cluster: Name,
        /// The name under which the cluster's engine knows the model; the model's own when left out.
        served_name: Option<Text<256>>,
        /// The version of the model's weights or software that the cluster runs: each gets a share of the conversations,
        /// which operators change while it serves. Where others of the model have one, a cluster without has the version
        /// `default`.
        version: Option<Name>,
    }
}

section! {
    /// How the versions of a model's clusters take over from each other.
    Rollout {
        /// The model, by name or alias; its clusters have two versions at least.
        model: ModelId,
        /// The weights until an operator sets others, one entry for each version that has any; all for the version that is
        /// written first when left out.
        versions: List<VersionWeight, 0>,
        /// The weights that a new version goes through, in percent, ascending; 1, 5, 25, 50 and 100 when left out.
        steps: List<Whole<u32, 1, 100>, 0>,
        /// How long each step holds at least before the next one follows by itself, in milliseconds; left out, an operator
        /// goes from step to step.
        step_after_ms: Option<Whole<Duration, 1_000, WEEK_MS>>,
        /// A version is taken back that surely fails so many requests in a hundred more than the others do; 1 when left out.
        worse_errors_percent: Option<Decimal<0, 100>>,
        /// A version is taken back whose first tokens surely come later by more than so many percent.
        worse_ttft_percent: Limit<u32, 50, 0, 10_000>,
        /// Requests that the new version, and the others together, must have had in a step before the next one.
        min_requests: Limit<u64, 200, 1, 1_000_000_000>,
    }
}

section! {
    /// A version with a weight.
    VersionWeight {
        /// Which version.
        name: Name,
        /// Its share of the conversations, in parts of the sum of all.
        weight: Whole<u64, 0, 1_000_000>,
    }
}

section! {
    /// What answers, in order, when a model cannot.
    Ladder {
        /// The model that it is for, by name or alias. It is the first tier itself.
        model: ModelId,
        /// The tiers after it, best first: models by name or alias; a last one of the form `{ canned = "…" }` always
        /// answers.
        tiers: List<Tier, 1>,
    }
}

/// One rung of a ladder.
pub(super) enum Tier {
    /// A model by name or alias.
    Model(String),
    /// A text.
    Canned(CannedTier),
}

impl Kind for Tier {
    type Value = Self;

    fn expected() -> String {
        "a model's name or `{ canned = \"…\" }`".to_owned()
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if node.is_text() {
            return ModelId::read(node, report).map(Self::Model);
        }
        let keys = node.keys();
        if keys.is_none() {
            node.wrong_type(&Self::expected(), report);
        }
        keys.map(|keys| Self::Canned(CannedTier::of(&keys, report)))
    }
}

section! {
    /// A text for when nothing else can answer.
    CannedTier {
        /// What it says, where no `[[canned.texts]]` table fits. `{{model}}` and other variables stand for what they say.
        canned: TemplateText<8_192>,
    }
}

section! {
    /// Who sends requests.
    Tenant {
        /// Its name, unique among tenants.
        name: Name,
        /// Its API keys, each by its digest, or as `{ digest = "sha256:…", priority = "low" }`. `tidegate keys new
        /// --tenant NAME` makes a key and prints its digest.
        keys: List<Key, 1>,
        /// The models that it may ask for, by name or alias; all when left out.
        models: Option<List<ModelId, 1>>,
        /// The jurisdictions that may see its data; all when left out.
        jurisdictions: Option<List<Name, 1>>,
        /// The priority of keys that have none of their own: where something is short, requests of low priority are
        /// refused first; `normal` when left out.
        priority: Option<Priority>,
        /// Fields that steer engines, which its requests may have all the same; none when left out. Docs name them:
        /// `priority`, `kv_transfer_params`, `chat_template` and the like.
        engine_fields: List<EngineField, 0>,
        /// What keeps the prefixes of its prompts apart in engines' caches: tenants with the same one share them. The
        /// tenant's name when left out.
        cache_salt: Option<Name>,
        /// What it may use, one `[[tenants.budgets]]` table for each limit on all models or a group of them. A request is
        /// admitted when every budget that covers its model has room for it. Without any, it may use what there is.
        budgets: List<Budget, 0>,
        /// What is looked for in answers to it, where that is not what `[detection]` or the model says.
        detection: Detection,
    }
}

/// One API key.
pub(super) struct Key {
    /// Its digest.
    pub digest: At<KeyDigest>,
    /// Its own priority, if it has one.
    pub priority: Option<crate::config::Priority>,
}

impl Kind for Key {
    type Value = Self;

    fn expected() -> String {
        format!("{}, or a table of `digest` and `priority`", Digest::expected())
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if node.is_text() {
            let digest = node.read::<Digest>(report)?;
            return Some(Self { digest, priority: None });
        }
        let keys = node.keys();
        if keys.is_none() {
            node.wrong_type(&Self::expected(), report);
        }
        let key = KeyWithPriority::of(&keys?, report);
        let digest = key.digest?;
        let priority = key.priority?.value;
        Some(Self { digest, priority })
    }
}

section! {
    /// An API key with a priority of its own.
    KeyWithPriority {
        /// The key's digest.
        digest: Digest,
        /// Its priority; the tenant's when left out.
        priority: Option<Priority>,
    }
}

section! {
    /// What a tenant may use of all models or of a group of them, over all edge locations together. At least one limit.
    Budget {
        /// Its name, unique among the tenant's budgets.
        name: Name,
        /// The models that it is about, by name or alias; all when left out.
        models: Option<List<ModelId, 1>>,
        /// Tokens of prompts and answers in a minute.
        tokens_per_minute: Option<Whole<u64, 1, MOST_BY_MINUTE>>,
        /// Tokens at once after a while without use, and the most that one request can have; `tokens_per_minute` when
        /// left out.
        burst_tokens: Option<Whole<u64, 1, MOST_BY_MINUTE>>,
        /// Requests in a minute.
        requests_per_minute: Option<Whole<u64, 1, MOST_BY_MINUTE>>,
        /// Requests at once after a while without any; `requests_per_minute` when left out.
        burst_requests: Option<Whole<u64, 1, MOST_BY_MINUTE>>,
        /// Tokens in a day.
        tokens_per_day: Option<Whole<u64, 1, MOST_BY_DAY>>,
        /// When days begin, in minutes after midnight, UTC.
        day_starts_at_minute: Limit<u16, 0, 0, 1_439>,
        /// Requests that run at once.
        concurrent_requests: Option<Whole<u32, 1, 1_000_000>>,
        /// What a prompt token counts that the engine found in its cache, in percent of one that it did not.
        cached_prompt_percent: Limit<u32, 100, 0, 100>,
        /// Tokens that a canned response counts.
        canned_tokens: Limit<u64, 0, 0, 1_000_000>,
        /// Tokens in a minute that each edge location may admit by itself while the budget cannot be reached; left out,
        /// requests are refused then, once the location has spent what it holds.
        unreachable_tokens_per_minute: Option<Whole<u64, 1, MOST_BY_MINUTE>>,
    }
}

section! {
    /// Operators' own access.
    Admin {
        /// Digests of admin keys, made as tenants' are. Without any, `/admin/…` is closed, and `/metrics` tells everybody figures without names.
        keys: List<Digest, 0>,
        /// Digests of admin keys that may look and change nothing.
        read_keys: List<Digest, 0>,
    }
}

const WEEK_MS: i64 = 7 * 24 * 3_600_000;
const MOST_BY_MINUTE: i64 = Rate::MOST.cast_signed();
const MOST_BY_DAY: i64 = MOST_PER_DAY.cast_signed();
