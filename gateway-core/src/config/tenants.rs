//! Tenants, their keys and what they may use: as written -> validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::{KnownNames, only_here};
use super::detection;
use super::engine::EngineKind;
use super::error::Problem;
use super::names::{Names, Once};
use super::read::{entries, value};
use super::report::{At, Report};
use super::suggest::suggest;
use super::validated::{Budget, Region, Tenant, TenantKey};
use super::written::{self, Root};
use crate::budget::{BudgetLimits, Rate};
use crate::geo::Coordinates;
use crate::ids::{BudgetId, BudgetName, Jurisdiction, ModelName, RegionName, TenantName};

/// The tenants, in the order written.
pub(super) fn check(
    root: &Root,
    names: &KnownNames<'_>,
    regions: &BTreeMap<RegionName, Region>,
    digests: &mut Once,
    report: &mut Report,
) -> Vec<Arc<Tenant>> {
    let mut tenant_names = Names::of("tenant");
    let mut tenants = Vec::new();
    for At { value: written, .. } in entries(&root.tenants) {
        tenant_names.add(written.name.as_ref(), report);
        let keys = keys(written, digests, report);
        let models = allowed::<ModelName>(&written.models, &names.models, report);
        let jurisdictions = allowed::<Jurisdiction>(&written.jurisdictions, &names.jurisdictions, report);
        let near = near(regions, jurisdictions.as_deref());
        let engine_fields = engine_fields(written, report);
        let budgets = budgets(written, names, near, report);
        if let Some(name) = value(&written.name) {
            tenants.push(Arc::new(Tenant {
                name: TenantName::from(name.as_str()),
                keys,
                models,
                jurisdictions,
                engine_fields,
                cache_salt: value(&written.cache_salt)
                    .cloned()
                    .flatten()
                    .unwrap_or_else(|| name.clone()),
                budgets,
                detection: detection::overrides(&written.detection).unwrap_or_default(),
            }));
        }
    }
    tenants
}

fn keys(tenant: &written::Tenant, digests: &mut Once, report: &mut Report) -> Vec<TenantKey> {
    let common = value(&tenant.priority).copied().flatten().unwrap_or_default();
    let keys = entries(&tenant.keys).iter();
    keys.map(|At { value: key, .. }| TenantKey {
        digest: only_here(&key.digest, digests, report),
        priority: key.priority.unwrap_or(common),
    })
    .collect()
}

/// The names that a tenant is kept to, if it is.
fn allowed<N: for<'n> From<&'n str>>(
    written: &Option<At<Option<Vec<At<String>>>>>,
    names: &Names<'_>,
    report: &mut Report,
) -> Option<Vec<N>> {
    let allowed = value(written)?.as_ref()?;
    Some(
        allowed
            .iter()
            .filter_map(|name| names.resolve(name, report))
            .map(|name| N::from(&name.value))
            .collect(),
    )
}

/// The fields that steer engines and that the tenant may send, as far as there is an engine that has them.
fn engine_fields(tenant: &written::Tenant, report: &mut Report) -> Vec<String> {
    let all = EngineKind::all_steering_fields();
    let mut known = Vec::new();
    for At { value: name, place } in entries(&tenant.engine_fields) {
        if all.clone().any(|field| field == name) {
            known.push(name.clone());
        } else {
            let what = "field that steers engines";
            let problem = Problem::UnknownName {
                what,
                name: name.clone(),
            };
            report.add(*place, problem, suggest(name, all.clone()));
        }
    }
    known
}

/// A place among those where the tenant's data may be: that of the first region.
fn near(regions: &BTreeMap<RegionName, Region>, jurisdictions: Option<&[Jurisdiction]>) -> Coordinates {
    let is_allowed = |region: &&Region| jurisdictions.is_none_or(|allowed| allowed.contains(&region.jurisdiction));
    let mut allowed = regions.values().filter(is_allowed);
    allowed.next().map(|region| region.coordinates).unwrap_or_default()
}

fn budgets(
    tenant: &written::Tenant,
    names: &KnownNames<'_>,
    near: Coordinates,
    report: &mut Report,
) -> Vec<Arc<Budget>> {
    let mut budget_names = Names::of("budget");
    let mut budgets = Vec::new();
    for at in entries(&tenant.budgets) {
        let written = &at.value;
        budget_names.add(written.name.as_ref(), report);
        let models = allowed::<ModelName>(&written.models, &names.models, report);
        let limits = limits(at, report);
        if let (Some(tenant), Some(limits)) = (value(&tenant.name), limits) {
            budgets.extend(budget(written, tenant, models, limits, near).map(Arc::new));
        }
    }
    budgets
}

fn budget(
    written: &written::Budget,
    tenant: &str,
    models: Option<Vec<ModelName>>,
    limits: BudgetLimits,
    near: Coordinates,
) -> Option<Budget> {
    Some(Budget {
        id: BudgetId {
            tenant: TenantName::from(tenant),
            name: BudgetName::from(value(&written.name)?.as_str()),
        },
        models,
        limits,
        cached_prompt_percent: *value(&written.cached_prompt_percent)?,
        canned_tokens: *value(&written.canned_tokens)?,
        unreachable: value(&written.unreachable_tokens_per_minute)?.map(Rate::per_minute),
        near,
    })
}

fn limits(at: &At<written::Budget>, report: &mut Report) -> Option<BudgetLimits> {
    let written = &at.value;
    let tokens = rate(
        &written.tokens_per_minute,
        &written.burst_tokens,
        "tokens_per_minute",
        report,
    )?;
    let requests = rate(
        &written.requests_per_minute,
        &written.burst_requests,
        "requests_per_minute",
        report,
    )?;
    let limits = BudgetLimits {
        tokens,
        requests,
        tokens_per_day: *value(&written.tokens_per_day)?,
        concurrent_requests: *value(&written.concurrent_requests)?,
        day_starts_at_minute: *value(&written.day_starts_at_minute)?,
    };
    let unlimited = BudgetLimits {
        day_starts_at_minute: limits.day_starts_at_minute,
        ..BudgetLimits::default()
    };
    if limits == unlimited {
        report.add(at.place, Problem::NoLimit, ONE_LIMIT);
    }
    Some(limits)
}

type Figure = Option<At<Option<u64>>>;

fn rate(per_minute: &Figure, burst: &Figure, key: &'static str, report: &mut Report) -> Option<Option<Rate>> {
    let at = burst.as_ref()?;
    match (*value(per_minute)?, at.value) {
        (Some(per_minute), burst) => Some(Some(Rate {
            per_minute,
            burst: burst.unwrap_or(per_minute),
        })),
        (None, Some(_)) => {
            report.add(at.place, Problem::NoRate { key }, format!("expected {key} beside it"));
            None
        }
        (None, None) => Some(None),
    }
}

const ONE_LIMIT: &str =
    "expected one of tokens_per_minute, requests_per_minute, tokens_per_day and concurrent_requests";

#[cfg(test)]
mod tests {
    use super::super::{Config, Priority};
    use super::*;

    fn parse(budgets: &str) -> Result<Config, Vec<String>> {
        let digest = |last: u8| format!("sha256:{}{last}", "0".repeat(63));
        let text = format!(
            r#"
regions = [{{ name = "iad", latitude = 38.9, longitude = -77, jurisdiction = "us" }}, {{ name = "fra", latitude = 50, longitude = 8, jurisdiction = "eu" }}]
clusters = [{{ name = "c", region = "fra", engine = "vllm", replicas = ["http://a"], kv_cache_tokens = 1, prefill_tokens_per_s = 1, max_running = 1 }}]
models = [{{ name = "large", aliases = ["gpt"], context_length = 9, serving = [{{ cluster = "c" }}] }}]
[[tenants]]
name = "acme"
priority = "high"
jurisdictions = ["us"]
keys = ["{}", {{ digest = "{}", priority = "low" }}]
{budgets}
"#,
            digest(1),
            digest(2)
        );
        Config::parse(&text, None).map_err(|errors| errors.to_string().lines().map(str::to_owned).collect())
    }

    #[test]
    fn budgets_and_priorities_are_read() {
        let config = parse(
            r#"budgets = [{ name = "all", requests_per_minute = 60, burst_requests = 5 },
                { name = "chat", models = ["gpt"], tokens_per_day = 9, unreachable_tokens_per_minute = 4 }]"#,
        )
        .unwrap();
        let tenant = &config.tenants[0];
        let priorities: Vec<_> = tenant.keys.iter().map(|key| key.priority).collect();
        assert_eq!(priorities, [Priority::High, Priority::Low]);
        let [all, chat] = &tenant.budgets[..] else {
            panic!("{tenant:?}")
        };
        assert_eq!(all.id.to_string(), "acme/all");
        let (per_minute, burst) = (60, 5);
        assert_eq!(all.limits.requests, Some(Rate { per_minute, burst }));
        assert_eq!((all.limits.tokens, all.unreachable), (None, None));
        assert!(all.covers(&"large".into()) && chat.covers(&"large".into()) && !chat.covers(&"small".into()));
        assert_eq!(chat.limits.tokens_per_day, Some(9));
        assert_eq!(chat.unreachable, Some(Rate::per_minute(4)));
        assert!(chat.near.longitude < 0.0, "where the tenant's data may be");
    }

    #[test]
    fn mistakes_in_budgets_are_named() {
        for (budgets, expected) in [
            (
                r#"budgets = [{ name = "b", models = ["large"] }]"#,
                "gateway.toml:10: tenants[0].budgets[0]: the budget limits nothing; expected one of tokens_per_minute, \
                 requests_per_minute, tokens_per_day and concurrent_requests",
            ),
            (
                r#"budgets = [{ name = "b", burst_tokens = 5 }]"#,
                "gateway.toml:10: tenants[0].budgets[0].burst_tokens: a burst without tokens_per_minute; expected \
                 tokens_per_minute beside it",
            ),
            (
                r#"budgets = [{ name = "b", tokens_per_day = 1, models = ["huge"] }]"#,
                "gateway.toml:10: tenants[0].budgets[0].models[0]: there is no model `huge`; expected one of",
            ),
            (
                r#"budgets = [{ name = "b", tokens_per_day = 1 }, { name = "b", tokens_per_day = 1 }]"#,
                "gateway.toml:10: tenants[0].budgets[1].name: budget `b` is already in line 10",
            ),
        ] {
            let errors = parse(budgets).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:#?}");
        }
    }
}
