//! The ladder of one request: its tiers, and in each the clusters that may serve it, best first.

use std::sync::Arc;

use super::exchange::Exchange;
use super::generate::Counted;
use crate::api::RequestError;
use crate::cluster::ClusterLoad;
use crate::config::{Cluster, Config, Model, Serving, Tenant, Tier};
use crate::ids::ClusterName;
use crate::platform::Platform;
use crate::prefix;
use crate::route::{Candidate, rank};

/// A request and its way down.
#[derive(Debug)]
pub(super) struct Planned {
    pub counted: Counted,
    /// Fingerprint of the prompt's head.
    pub affinity: Option<u64>,
    /// Tiers that engines serve.
    pub tiers: Vec<PlannedTier>,
    /// The text of the canned tier, where one stands below them.
    pub canned: Option<String>,
}

/// One tier that engines serve.
#[derive(Debug)]
pub(super) struct PlannedTier {
    pub model: Arc<Model>,
    /// Which of the model's clusters may serve the request, in the order in which to try them; maybe none.
    pub serving: Vec<Serving>,
}

/// Plans the way down, to `lowest_tier` where the client names one.
///
/// # Errors
/// When the client names a tier that is none, or no cluster may see the tenant's data.
pub(super) fn plan<P: Platform>(
    exchange: &Exchange<P>,
    counted: Counted,
    lowest_tier: Option<&str>,
) -> Result<Planned, RequestError> {
    let model = &counted.decoded.model;
    let mut planned_tiers = Vec::new();
    let mut canned = None;
    for tier in allowed_tiers(&exchange.config, model, lowest_tier)? {
        match tier {
            Tier::Model(name) => {
                let Some(model) = exchange.config.models.get(name) else {
                    continue;
                };
                planned_tiers.push(plan_tier(exchange, &counted, Arc::clone(model)));
            }
            Tier::Canned(tier) => canned = Some(tier.text.clone()),
        }
    }
    if planned_tiers.iter().all(|tier| tier.serving.is_empty()) {
        return Err(RequestError::Jurisdiction {
            model: model.name.to_string(),
        });
    }
    let affinity = prefix::affinity(
        &counted.decoded.tenant.name,
        &model.name,
        &counted.decoded.request.prompt,
    );
    Ok(Planned {
        counted,
        affinity,
        tiers: planned_tiers,
        canned,
    })
}

fn allowed_tiers<'a>(config: &'a Config, model: &'a Model, lowest: Option<&str>) -> Result<&'a [Tier], RequestError> {
    let tiers = &model.ladder.tiers;
    let Some(lowest) = lowest else { return Ok(tiers) };
    let asked_for = config.model(lowest).map_or(lowest, |model| model.name.as_str());
    match tiers.iter().position(|tier| tier_name(tier) == asked_for) {
        Some(index) => Ok(&tiers[..=index]),
        None => Err(RequestError::UnknownTier {
            tiers: tiers.iter().map(tier_name).collect::<Vec<_>>().join(", "),
        }),
    }
}

fn tier_name(tier: &Tier) -> &str {
    match tier {
        Tier::Model(name) => name.as_str(),
        Tier::Canned(_) => "canned",
    }
}

fn plan_tier<P: Platform>(exchange: &Exchange<P>, counted: &Counted, model: Arc<Model>) -> PlannedTier {
    let tenant = &counted.decoded.tenant;
    let allowed: Vec<_> = model
        .serving
        .iter()
        .filter(|serving| may_see(&serving.cluster, tenant))
        .collect();
    let candidates: Vec<_> = allowed
        .iter()
        .map(|serving| Candidate {
            coordinates: serving.cluster.region.coordinates,
            prefill_tokens_per_s: serving.cluster.prefill_tokens_per_s,
            load: recent_load(exchange, &serving.cluster.name),
        })
        .collect();
    let ranked = rank(exchange.here(), counted.count.prompt, &candidates);
    let serving = ranked.iter().map(|estimate| allowed[estimate.index].clone()).collect();
    PlannedTier { model, serving }
}

fn may_see(cluster: &Cluster, tenant: &Tenant) -> bool {
    tenant
        .jurisdictions
        .as_ref()
        .is_none_or(|allowed| allowed.contains(&cluster.region.jurisdiction))
}

/// What the cluster told last; a figure that is too old counts as none.
fn recent_load<P: Platform>(exchange: &Exchange<P>, cluster: &ClusterName) -> Option<ClusterLoad> {
    let snapshot = exchange.gateway.load(cluster)?;
    let age = exchange.platform.now().since(snapshot.at);
    (age <= exchange.config.limits.load_ttl).then_some(snapshot.load)
}
