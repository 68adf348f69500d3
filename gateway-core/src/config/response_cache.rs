//! `[response_cache]`: which answers are kept and for how long, as written -> validated.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Problem;
use super::kinds::{Flag, Limit, List};
use super::names::Names;
use super::read::{Kind, Node, entries, value};
use super::report::{At, Report};
use super::section::section;
use super::suggest::{one_of, suggest};
use super::texts::{ModelId, Name};
use super::validated::Tenant;
use super::written::Root;
use crate::ids::{ModelName, TenantName};

section! {
    /// The response cache: answers that are given again to the same request of the same tenant.
    ResponseCache {
        /// Which requests use it: `off`, none; `on_request`, those with the header `x-tidegate-cache: use`; `always`, all but
        /// those with `x-tidegate-cache: bypass`. `on_request` when left out.
        mode: Option<Mode>,
        /// Whether it is also for requests that may be answered otherwise each time; else only for those with a temperature
        /// of 0 and a seed, and for embeddings.
        any_temperature: Flag<false>,
        /// Time for which an answer is given again, in milliseconds.
        ttl_ms: Limit<Duration, { 60 * MINUTE_MS }, MINUTE_MS, { 30 * DAY_MS }>,
        /// Time beyond that for which it is kept for when no engine can answer, in milliseconds; it is not given then with 0.
        stale_ms: Limit<Duration, 0, 0, { 30 * DAY_MS }>,
        /// Most time that a request waits for the store, in milliseconds; it goes on to an engine then.
        wait_ms: Limit<Duration, 50, 1, 5_000>,
        /// Largest answer that is kept, in bytes before it is compressed.
        answer_bytes: Limit<usize, { 256 * KIB }, KIB, { 8 * 1024 * KIB }>,
        /// About how much memory the latest answers may take in each process, isolate or instance, in bytes: they need no
        /// read of the store.
        memory_bytes: Limit<usize, { 8 * 1024 * KIB }, 0, { 1024 * 1024 * KIB }>,
        /// Longest time that a request waits for the answer to the same request which is under way, in milliseconds; it asks
        /// an engine itself then. None waits with 0.
        share_wait_ms: Limit<Duration, 30_000, 0, { 60 * MINUTE_MS }>,
        /// Whether requests also wait for the answer to the same one that is under way at another location. It costs a call to a
        /// cell for each request that finds no answer, for which it waits `wait_ms` at most, and another at its end.
        share_across_locations: Flag<false>,
        /// What an answer from the cache costs of its tenant's budgets: `request`, the request alone; `tokens`, as many
        /// tokens as when it was made, too. `request` when left out.
        hit_cost: Option<Cost>,
        /// What holds otherwise for a tenant, a model or both; the first entry that fits a request counts.
        rules: List<Rule, 0>,
    }
}

section! {
    /// What of the response cache holds otherwise for some requests. A key that is left out holds as for all.
    Rule {
        /// The tenant, by name; all when left out.
        tenant: Option<Name>,
        /// The model, by name or alias; all when left out.
        model: Option<ModelId>,
        /// Which requests use the cache.
        mode: Option<Mode>,
        /// Whether it is also for requests that may be answered otherwise each time.
        any_temperature: Option<Flag<false>>,
        /// Time for which an answer is given again, in milliseconds.
        ttl_ms: Option<super::kinds::Whole<Duration, MINUTE_MS, { 30 * DAY_MS }>>,
        /// Time beyond that for which it is kept for when no engine can answer, in milliseconds.
        stale_ms: Option<super::kinds::Whole<Duration, 0, { 30 * DAY_MS }>>,
    }
}

/// The response cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSettings {
    /// What holds where no rule says otherwise.
    pub policy: CachePolicy,
    /// What holds otherwise; the first that fits counts.
    pub rules: Vec<CacheRule>,
    /// Most time that a request waits for the store.
    pub wait: Duration,
    /// Largest answer that is kept, in bytes before it is compressed.
    pub answer_bytes: usize,
    /// About how much memory the latest answers may take, in bytes.
    pub memory_bytes: usize,
    /// Longest time that a request waits for the answer to the same one; none waits where it is zero.
    pub share_wait: Duration,
    /// Whether requests also wait for the same one at another location.
    pub share_across_locations: bool,
    /// What an answer from the cache costs.
    pub hit_cost: HitCost,
}

/// Which requests use the cache, and for how long answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachePolicy {
    /// Which requests use it.
    pub mode: CacheMode,
    /// Whether it is also for requests that may be answered otherwise each time.
    pub any_temperature: bool,
    /// Time for which an answer is given again; at least 60 s.
    pub ttl: Duration,
    /// Time beyond that for which it is given when no engine can answer.
    pub stale: Duration,
}

/// A policy for some requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRule {
    /// Whose; everybody's where it is `None`.
    pub tenant: Option<TenantName>,
    /// For which model; for all where it is `None`.
    pub model: Option<ModelName>,
    /// What holds for them.
    pub policy: CachePolicy,
}

/// Which requests use the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheMode {
    /// None.
    Off,
    /// Those that ask for it.
    OnRequest,
    /// All but those that want none of it.
    Always,
}

/// What an answer from the cache costs of its tenant's budgets, besides one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HitCost {
    /// Nothing.
    Request,
    /// The tokens that it took when it was made.
    Tokens,
}

impl CacheMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::OnRequest, Self::Always];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::OnRequest => "on_request",
            Self::Always => "always",
        }
    }
}

impl HitCost {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Request, Self::Tokens];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Tokens => "tokens",
        }
    }
}

impl CacheSettings {
    /// What holds for requests of that tenant for that model. The store may be anywhere: a tenant whose data is kept to
    /// jurisdictions uses it only where a rule names it.
    pub fn policy_of(&self, tenant: &Tenant, model: &ModelName) -> CachePolicy {
        let is_kept = tenant.jurisdictions.is_some();
        let fits = |rule: &&CacheRule| {
            let of_tenant = rule.tenant.as_ref().map_or(!is_kept, |of| *of == tenant.name);
            of_tenant && rule.model.as_ref().is_none_or(|of| of == model)
        };
        match self.rules.iter().find(fits) {
            Some(rule) => rule.policy,
            None if is_kept => CachePolicy {
                mode: CacheMode::Off,
                ..self.policy
            },
            None => self.policy,
        }
    }

    /// The longest that any answer is kept.
    pub fn longest(&self) -> Duration {
        let kept = |policy: &CachePolicy| policy.ttl + policy.stale;
        let of_rules = self.rules.iter().map(|rule| kept(&rule.policy)).max();
        kept(&self.policy).max(of_rules.unwrap_or_default())
    }
}

/// `[response_cache]`, or `None` when a key of it is wrong, which is then in the report.
pub(super) fn check(
    root: &Root,
    models: &Names<'_>,
    tenants: &[Arc<Tenant>],
    report: &mut Report,
) -> Option<CacheSettings> {
    let written = value(&root.response_cache)?;
    let policy = CachePolicy {
        mode: value(&written.mode)?.unwrap_or(CacheMode::OnRequest),
        any_temperature: *value(&written.any_temperature)?,
        ttl: *value(&written.ttl_ms)?,
        stale: *value(&written.stale_ms)?,
    };
    let rules = entries(&written.rules).iter();
    let rules: Vec<_> = rules
        .map(|at| rule(&at.value, policy, (models, tenants), report))
        .collect();
    Some(CacheSettings {
        policy,
        rules: rules.into_iter().collect::<Option<_>>()?,
        wait: *value(&written.wait_ms)?,
        answer_bytes: *value(&written.answer_bytes)?,
        memory_bytes: *value(&written.memory_bytes)?,
        share_wait: *value(&written.share_wait_ms)?,
        share_across_locations: *value(&written.share_across_locations)?,
        hit_cost: value(&written.hit_cost)?.unwrap_or(HitCost::Request),
    })
}

fn rule(
    written: &Rule,
    of_all: CachePolicy,
    (models, tenants): (&Names<'_>, &[Arc<Tenant>]),
    report: &mut Report,
) -> Option<CacheRule> {
    let model = match optional(&written.model)? {
        Some(model) => Some(ModelName::from(models.resolve(&model, report)?.value.as_str())),
        None => None,
    };
    let tenant = match optional(&written.tenant)? {
        Some(tenant) => Some(known_tenant(&tenant, tenants, report)?),
        None => None,
    };
    Some(CacheRule {
        tenant,
        model,
        policy: CachePolicy {
            mode: value(&written.mode)?.unwrap_or(of_all.mode),
            any_temperature: value(&written.any_temperature)?.unwrap_or(of_all.any_temperature),
            ttl: value(&written.ttl_ms)?.unwrap_or(of_all.ttl),
            stale: value(&written.stale_ms)?.unwrap_or(of_all.stale),
        },
    })
}

/// A name that may be left out, with its place; `None` when it is wrong.
fn optional(written: &Option<At<Option<String>>>) -> Option<Option<At<String>>> {
    let at = written.as_ref()?;
    Some(at.value.as_ref().map(|name| at.with(name.clone())))
}

fn known_tenant(name: &At<String>, tenants: &[Arc<Tenant>], report: &mut Report) -> Option<TenantName> {
    let names = || tenants.iter().map(|tenant| tenant.name.as_str());
    if names().any(|known| known == name.value) {
        return Some(TenantName::from(name.value.as_str()));
    }
    let problem = Problem::UnknownName {
        what: "tenant",
        name: name.value.clone(),
    };
    report.add(name.place, problem, suggest(&name.value, names()));
    None
}

/// A mode by name.
pub(super) struct Mode;

impl Kind for Mode {
    type Value = CacheMode;

    fn expected() -> String {
        one_of(CacheMode::ALL.into_iter().map(CacheMode::as_str))
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<CacheMode> {
        node.parse::<Self>(report, |text| {
            let mut all = CacheMode::ALL.into_iter();
            all.find(|mode| mode.as_str() == text)
                .ok_or_else(|| unknown("mode", text))
        })
    }
}

/// A cost by name.
pub(super) struct Cost;

impl Kind for Cost {
    type Value = HitCost;

    fn expected() -> String {
        one_of(HitCost::ALL.into_iter().map(HitCost::as_str))
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<HitCost> {
        node.parse::<Self>(report, |text| {
            let mut all = HitCost::ALL.into_iter();
            all.find(|cost| cost.as_str() == text)
                .ok_or_else(|| unknown("cost", text))
        })
    }
}

fn unknown(what: &'static str, text: &str) -> Problem {
    Problem::UnknownName {
        what,
        name: text.to_owned(),
    }
}

#[cfg(any(test, feature = "schema"))]
impl super::schema::Describe for Mode {
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "string", "enum": CacheMode::ALL.map(CacheMode::as_str)})
    }
}

#[cfg(any(test, feature = "schema"))]
impl super::schema::Describe for Cost {
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "string", "enum": HitCost::ALL.map(HitCost::as_str)})
    }
}

const KIB: i64 = 1 << 10;
/// What Workers KV keeps at least.
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn the_first_rule_that_fits_counts_and_tenants_of_jurisdictions_have_to_be_named() {
        let text = include_str!("../../../gateway.toml");
        let rules = r#"
[[response_cache.rules]]
tenant = "acme"
model = "qwen3-32b"
mode = "always"
[[response_cache.rules]]
model = "qwen3-32b"
ttl_ms = 60_000
[[response_cache.rules]]
tenant = "umbrella"
stale_ms = 5
[[response_cache.rules]]
"#;
        let text = text.replacen("\n[[response_cache.rules]]\n", rules, 1);
        let config = Config::parse(&text, None).unwrap_or_else(|errors| panic!("{errors}"));
        let of = |tenant: usize, model: &str| {
            let policy = config.response_cache.policy_of(&config.tenants[tenant], &model.into());
            (policy.mode, policy.ttl.as_secs(), policy.stale.as_millis())
        };
        assert_eq!(of(0, "qwen3-32b"), (CacheMode::Always, 3_600, 0));
        assert_eq!(of(0, "qwen3-8b"), (CacheMode::OnRequest, 3_600, 0));
        assert_eq!(
            of(1, "qwen3-32b"),
            (CacheMode::OnRequest, 3_600, 5),
            "its own rule, and not that of all"
        );
        let unnamed = text.replace("tenant = \"umbrella\"", "tenant = \"acme\"");
        let config = Config::parse(&unnamed, None).unwrap_or_else(|errors| panic!("{errors}"));
        let policy = config.response_cache.policy_of(&config.tenants[1], &"qwen3-32b".into());
        assert_eq!(policy.mode, CacheMode::Off);
    }
}
