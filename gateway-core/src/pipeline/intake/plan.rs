//! The ladder of one request: its tiers, and in each the clusters that may serve it, best first.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use super::allot::allot;
use super::{Order, Sender};
use crate::api::RequestError;
use crate::cluster::ClusterLoad;
use crate::config::{CANNED_TIER, CannedAnswers, CannedReason, Cluster, Config, Model, Routing, Serving, Tenant, Tier};
use crate::ids::{ClusterName, Tokens};
use crate::observe::{Canning, Event};
use crate::pipeline::canned::CannedTier;
use crate::pipeline::context::Exchange;
use crate::pipeline::intake::{Counted, Decoded, Wishes};
use crate::platform::Platform;
use crate::route::{Candidate, home, rank};
use crate::tokens::Count;

/// A request that knows where it may go.
#[derive(Debug)]
pub(in crate::pipeline) struct Planned {
    pub counted: Counted,
    pub plan: Plan,
}

/// The way down of one request.
#[derive(Debug)]
pub(in crate::pipeline) struct Plan {
    /// Tiers that engines serve.
    tiers: Vec<PlannedTier>,
    /// The texts that may answer below them, where there are any.
    pub canned: Option<CannedTier>,
    /// Whether a tier is passed over since operators keep its model out of service.
    pub is_in_maintenance: bool,
}

/// One tier that engines serve.
#[derive(Debug)]
struct PlannedTier {
    model: Arc<Model>,
    /// Places among the model's clusters of those that may see the tenant's data; maybe none.
    allowed: Vec<usize>,
    /// The places of those that may not.
    excluded: Vec<usize>,
    /// What is found out when the walk comes to the tier; `None` where its model cannot take the request.
    ready: OnceCell<Option<Ready>>,
}

/// A tier that the walk has come to.
#[derive(Debug)]
struct Ready {
    count: Count,
    /// The allowed clusters in the order in which to try them.
    ranked: Vec<usize>,
    /// The one where the request goes while nothing is loaded or warm.
    home: Option<usize>,
    /// How many of them, the first ones, are of the request's version; all where the model has no two.
    of_version: usize,
}

/// What to ask, and whom.
#[derive(Debug)]
pub(in crate::pipeline) struct Target<'a> {
    /// The tier's index in the ladder.
    pub tier: usize,
    pub model: &'a Arc<Model>,
    pub serving: &'a Serving,
    /// What the request takes of that model.
    pub count: &'a Count,
    /// Whether the request goes to this cluster while nothing is loaded or warm.
    pub is_home: bool,
    /// Where the clusters of other versions begin, where this one is of the request's own and there are others.
    pub other_versions_from: Option<usize>,
}

/// Plans the way down, to the lowest tier where the client names one.
///
/// # Errors
/// When the client names a tier that is none, or no cluster may see the tenant's data.
pub(in crate::pipeline) fn plan<P: Platform>(
    exchange: &Exchange<P>,
    counted: Counted,
    wishes: Wishes<'_>,
) -> Result<Planned, RequestError> {
    let config = &exchange.config;
    let Decoded { model, caller, .. } = &counted.decoded;
    let texts = exchange.gateway.canned.current(config);
    let has_canned = model.ladder.canned().is_some() || texts.may_answer(config, model, &caller.tenant.name);
    let (tiers, may_be_canned) = allowed_tiers(config, (model, has_canned), wishes.lowest_tier)?;
    let mut planned_tiers = Vec::new();
    for tier in tiers {
        match tier {
            Tier::Model(name) => {
                let model = config.models.get(name).map(Arc::clone);
                planned_tiers.extend(model.map(|model| plan_tier(&caller.tenant, model)));
            }
            Tier::Canned(_) => {}
        }
    }
    if planned_tiers.iter().all(|tier| tier.allowed.is_empty()) {
        return Err(RequestError::Jurisdiction {
            model: model.name.to_string(),
        });
    }
    let is_in_maintenance = pass_over_maintained(exchange, &texts, &mut planned_tiers);
    let plan = Plan {
        tiers: planned_tiers,
        canned: may_be_canned.then(|| CannedTier::new(texts, wishes.languages.accepted())),
        is_in_maintenance,
    };
    Ok(Planned { counted, plan })
}

/// Plans the way of an order of the edge: to that cluster, and nowhere else; `None` where that does not serve the model, or may
/// not see the tenant's data.
pub(in crate::pipeline) fn plan_order(counted: Counted, cluster: &ClusterName) -> Option<Planned> {
    let Decoded { model, caller, .. } = &counted.decoded;
    let mut tier = plan_tier(&caller.tenant, Arc::clone(model));
    tier.allowed
        .retain(|index| model.serving[*index].cluster.name == *cluster);
    if tier.allowed.is_empty() {
        return None;
    }
    let plan = Plan {
        tiers: vec![tier],
        canned: None,
        is_in_maintenance: false,
    };
    Some(Planned { counted, plan })
}

/// Empties the tiers whose models operators keep out of service, and says whether there are any.
fn pass_over_maintained<P: Platform>(exchange: &Exchange<P>, texts: &CannedAnswers, tiers: &mut [PlannedTier]) -> bool {
    let mut is_any = false;
    for tier in tiers {
        if texts.is_in_maintenance(&exchange.config, &tier.model) {
            let model = &tier.model.name;
            exchange.tell(&Event::Canned(Canning::PassedOver { model }));
            tier.allowed.clear();
            is_any = true;
        }
    }
    is_any
}

/// The tiers of the model down to the lowest one that the client takes, and whether a text is one of them.
fn allowed_tiers<'a>(
    config: &'a Config,
    (model, has_canned): (&'a Model, bool),
    lowest: Option<&str>,
) -> Result<(&'a [Tier], bool), RequestError> {
    let tiers = &model.ladder.tiers;
    let Some(lowest) = lowest.filter(|lowest| *lowest != CANNED_TIER || !has_canned) else {
        return Ok((tiers, has_canned));
    };
    let asked_for = config.model(lowest).map_or(lowest, |model| model.name.as_str());
    let names = || tiers.iter().filter_map(tier_name);
    match names().position(|name| name == asked_for) {
        Some(index) => Ok((&tiers[..=index], false)),
        None => Err(RequestError::UnknownTier {
            tiers: names()
                .chain(has_canned.then_some(CANNED_TIER))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

fn tier_name(tier: &Tier) -> Option<&str> {
    match tier {
        Tier::Model(name) => Some(name.as_str()),
        Tier::Canned(_) => None,
    }
}

impl PlannedTier {
    /// The clusters that may not see the tenant's data.
    fn excluded(&self) -> Vec<&ClusterName> {
        let excluded = self.excluded.iter().map(|index| &self.model.serving[*index]);
        excluded.map(|serving| &serving.cluster.name).collect()
    }
}

impl Plan {
    /// Why nothing answers where nobody could even be asked.
    pub fn reason_without_attempts(&self) -> CannedReason {
        if self.is_in_maintenance {
            CannedReason::Maintenance
        } else {
            CannedReason::Overload
        }
    }

    /// How many clusters may serve each tier.
    pub fn clusters(&self) -> Vec<usize> {
        self.tiers.iter().map(|tier| tier.allowed.len()).collect()
    }
}

impl<P: Platform> Order<P> {
    /// What to ask and whom, in that place of the walk; `None` where the tier's model cannot take the request.
    pub async fn target(&self, tier: usize, cluster: usize) -> Option<Target<'_>> {
        let planned_tier = &self.plan.tiers[tier];
        if planned_tier.ready.get().is_none() {
            let ready = ready(self, tier, planned_tier).await;
            planned_tier.ready.get_or_init(|| ready);
        }
        let Ready {
            count,
            ranked,
            home,
            of_version,
        } = planned_tier.ready.get()?.as_ref()?;
        let is_own = cluster < *of_version && *of_version < ranked.len();
        Some(Target {
            tier,
            model: &planned_tier.model,
            serving: &planned_tier.model.serving[ranked[cluster]],
            count,
            is_home: match self.sender {
                Sender::Client => *home == Some(ranked[cluster]),
                Sender::Edge { is_home, .. } => is_home,
            },
            other_versions_from: is_own.then_some(*of_version),
        })
    }
}

fn plan_tier(tenant: &Tenant, model: Arc<Model>) -> PlannedTier {
    let places = 0..model.serving.len();
    let (allowed, excluded) = places.partition(|index| may_see(&model.serving[*index].cluster, tenant));
    PlannedTier {
        allowed,
        excluded,
        model,
        ready: OnceCell::new(),
    }
}

async fn ready<P: Platform>(order: &Order<P>, index: usize, tier: &PlannedTier) -> Option<Ready> {
    let exchange = &order.exchange;
    let count = order.counts.of(exchange, &order.request, &tier.model).await.ok()?;
    // The version of an order of the edge was chosen with its cluster.
    let version = match order.sender {
        Sender::Client => allot(order, index, &tier.model, &tier.allowed).await,
        Sender::Edge { .. } => None,
    };
    let is_of_version = |index: usize| {
        let serving = &tier.model.serving[tier.allowed[index]];
        version.is_none() || serving.version == version
    };
    let candidate = |index: &usize| {
        let cluster = &tier.model.serving[*index].cluster;
        let (load, load_age) = recent_load(exchange, cluster).unzip();
        Candidate {
            cluster: &cluster.name,
            round_trip: exchange.round_trip(cluster),
            price: price(cluster, &exchange.config.routing),
            prefill_tokens_per_s: cluster.prefill_tokens_per_s,
            warm: Tokens(0),
            load,
            load_age,
        }
    };
    let mut candidates: Vec<_> = tier.allowed.iter().map(candidate).collect();
    let home = home(count.prompt, &candidates, is_of_version);
    if candidates.len() > 1 {
        let clusters: Vec<_> = tier
            .allowed
            .iter()
            .map(|index| &*tier.model.serving[*index].cluster)
            .collect();
        let warm = order.identity.warm_in(exchange, &clusters, home, count.prompt).await;
        for (candidate, warm) in candidates.iter_mut().zip(warm) {
            candidate.warm = warm;
        }
    }
    let mut estimates = rank(count.prompt, &candidates, home);
    // Clusters of other versions are what is left where its own have no room, or fail.
    estimates.sort_by_key(|estimate| !is_of_version(estimate.index));
    exchange.tell(&Event::Ranked {
        model: &tier.model.name,
        tier: index,
        prompt: count.prompt,
        estimates: &estimates,
        excluded: &tier.excluded(),
    });
    let of_version = estimates
        .iter()
        .filter(|estimate| is_of_version(estimate.index))
        .count();
    let ranked = estimates.iter().map(|estimate| tier.allowed[estimate.index]).collect();
    let home = home.map(|index| tier.allowed[index]);
    Some(Ready {
        count,
        ranked,
        home,
        of_version,
    })
}

fn may_see(cluster: &Cluster, tenant: &Tenant) -> bool {
    tenant
        .jurisdictions
        .as_ref()
        .is_none_or(|allowed| allowed.contains(&cluster.region.jurisdiction))
}

/// What the cluster's price counts for, as if it were time.
fn price(cluster: &Cluster, routing: &Routing) -> Duration {
    Duration::try_from_secs_f64(cluster.price * routing.price_weight.as_secs_f64()).unwrap_or(Duration::MAX)
}

/// What the cluster told last, and how old that is; a figure that is too old counts as none. One whose region hop is left alone
/// has no room.
fn recent_load<P: Platform>(exchange: &Exchange<P>, cluster: &Cluster) -> Option<(ClusterLoad, Duration)> {
    let now = exchange.platform.now();
    let rests = || {
        exchange
            .gateway
            .hops
            .with(|hops| hops.rest(now, &cluster.region.name))
            .is_some()
    };
    if exchange.hop(cluster).is_some() && rests() {
        return Some((ClusterLoad::default(), Duration::ZERO));
    }
    let snapshot = exchange.gateway.load(&cluster.name)?;
    let age = now.since(snapshot.at);
    (age <= exchange.config.load.ttl).then_some((snapshot.load, age))
}
