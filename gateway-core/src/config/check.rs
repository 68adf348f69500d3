//! As written -> validated: resolves every name, refuses what is there twice, and builds the sound configuration. What
//! one entry lacks does not keep the others from being checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::canned;
use super::detection;
use super::digest::KeyDigest;
use super::error::Problem;
use super::models;
use super::names::{Names, Once};
use super::read::{entries, value};
use super::report::{At, Report};
use super::response_cache;
use super::settings;
use super::settings::{Routing, Signals};
use super::tenants;
use super::validated::{Admin, Cluster, Config, Region, Replica};
use super::written::{self, Root};
use crate::cluster::{Capacity, ClusterPolicy, HealthPolicy, PrefillPolicy, ScalingPolicy};
use crate::geo::Coordinates;
use crate::ids::{ClusterName, Jurisdiction, RegionName, ReplicaName, SecretName};

/// The configuration, or `None` when it is wrong, which is then in the report.
pub(super) fn check(root: &Root, tables: Option<&[&str]>, version: String, report: &mut Report) -> Option<Config> {
    let names = KnownNames::of(root, tables, report);
    let mut regions = BTreeMap::new();
    regions.extend(entries(&root.regions).iter().filter_map(|at| region(&at.value)));
    let clusters = clusters(root, &names, &regions, report);
    let models = models::check(root, &names, &clusters, report);
    let mut digests = Once::of("a key with the digest", "expected each key once, with one owner");
    let tenants = tenants::check(root, &names, &regions, &mut digests, report);
    let admin = value(&root.admin).map(|admin| Admin {
        keys: keys(entries(&admin.keys), &mut digests, report),
        read_keys: keys(entries(&admin.read_keys), &mut digests, report),
    });
    let canned = value(&root.canned);
    let canned = canned.map(|canned| canned::check(canned, &names.models, &tenant_names(root, report), report));
    settings::check_order(root, report);
    settings::check_hops(root, report);
    let response_cache = response_cache::check(root, &names.models, &tenants, report);
    Some(Config {
        version,
        regions,
        clusters,
        models,
        aliases: models::aliases(root),
        canned: Arc::new(canned?),
        tenants,
        admin: admin?,
        sizes: settings::sizes(root)?,
        timeouts: settings::timeouts(root)?,
        retries: settings::retries(root)?,
        streams: settings::streams(root)?,
        estimates: settings::estimates(root)?,
        permits: settings::permits(root)?,
        load: settings::load(root)?,
        routing: settings::routing(root)?,
        breaker: settings::breaker(root)?,
        leases: settings::leases(root)?,
        headroom: settings::headroom(root)?,
        queue: settings::queue(root)?,
        signals: settings::signals(root)?,
        explain: settings::explain(root)?,
        cors: settings::cors(root)?,
        sessions: settings::sessions(root)?,
        prefixes: settings::prefixes(root)?,
        response_cache: response_cache?,
        hops: settings::hops(root)?,
        media: settings::media(root)?,
        refresh: settings::refresh(root)?,
        detection: detection::policy(root)?,
    })
}

fn tenant_names<'w>(root: &'w Root, report: &Report) -> Names<'w> {
    let mut names = Names::of("tenant").complete_if(root.tenants.is_some());
    for tenant in entries(&root.tenants) {
        names.add_shared(tenant.value.name.as_ref(), report);
    }
    names
}

/// All names that something may refer to.
pub(super) struct KnownNames<'w> {
    regions: Names<'w>,
    /// Jurisdictions that regions are under.
    pub jurisdictions: Names<'w>,
    /// Clusters' names.
    pub clusters: Names<'w>,
    /// Models' names and aliases.
    pub models: Names<'w>,
    /// Tables that the deployment carries; `None` where that is not known.
    pub tables: Option<&'w [&'w str]>,
}

impl<'w> KnownNames<'w> {
    /// Collects the names, also of entries that are wrong otherwise.
    fn of(root: &'w Root, tables: Option<&'w [&'w str]>, report: &mut Report) -> Self {
        let (has_regions, has_clusters) = (root.regions.is_some(), root.clusters.is_some());
        let mut regions = Names::of("region").complete_if(has_regions);
        let mut jurisdictions = Names::of("region with the jurisdiction").complete_if(has_regions);
        for region in entries(&root.regions) {
            regions.add(region.value.name.as_ref(), report);
            jurisdictions.add_shared(region.value.jurisdiction.as_ref(), report);
        }
        let mut clusters = Names::of("cluster").complete_if(has_clusters);
        for cluster in entries(&root.clusters) {
            clusters.add(cluster.value.name.as_ref(), report);
        }
        Self {
            regions,
            jurisdictions,
            clusters,
            models: models::names(root, report),
            tables,
        }
    }
}

fn region(written: &written::Region) -> Option<(RegionName, Region)> {
    let name = RegionName::from(value(&written.name)?.as_str());
    let coordinates = Coordinates {
        latitude: *value(&written.latitude)?,
        longitude: *value(&written.longitude)?,
    };
    let jurisdiction = Jurisdiction::from(value(&written.jurisdiction)?.as_str());
    Some((
        name.clone(),
        Region {
            name,
            coordinates,
            jurisdiction,
            hop: value(&written.hop)?.clone(),
        },
    ))
}

fn clusters(
    root: &Root,
    names: &KnownNames<'_>,
    regions: &BTreeMap<RegionName, Region>,
    report: &mut Report,
) -> BTreeMap<ClusterName, Arc<Cluster>> {
    let mut urls = Once::of("replica", "expected each replica once, in one cluster");
    let (routing, health, signals) = (settings::routing(root), settings::health(root), settings::signals(root));
    let mut clusters = BTreeMap::new();
    for At { value: written, .. } in entries(&root.clusters) {
        let region = written
            .region
            .as_ref()
            .and_then(|region| names.regions.resolve(region, report));
        let replicas = entries(&written.replicas);
        replicas.iter().for_each(|url| urls.add(url, report));
        let region = region.and_then(|region| regions.get(region.value.as_str()));
        let region = region.cloned();
        let settings = || Some((routing.as_ref()?, health?, signals?));
        let scaling = scaling(written, report);
        let settings = || Some((settings()?, scaling?));
        if let Some(cluster) = region.and_then(|region| cluster(written, region, settings()?)) {
            clusters.insert(cluster.name.clone(), Arc::new(cluster));
        }
    }
    clusters
}

fn cluster(
    written: &written::Cluster,
    region: Region,
    ((routing, health, signals), scaling): ((&Routing, HealthPolicy, Signals), ScalingPolicy),
) -> Option<Cluster> {
    let replica = |url: &At<String>| {
        Some(Replica {
            name: ReplicaName::from(url.value.as_str()),
            url: url.value.parse().ok()?,
        })
    };
    let replicas: Vec<_> = entries(&written.replicas).iter().map(replica).collect::<Option<_>>()?;
    let tokens_per_s = *value(&written.prefill_tokens_per_s)?;
    let capacity = Capacity {
        requests: *value(&written.max_running)?,
        kv_tokens: *value(&written.kv_cache_tokens)?,
    };
    let policy = ClusterPolicy {
        replicas: replicas.iter().map(|replica| replica.name.clone()).collect(),
        capacity,
        prefill: PrefillPolicy {
            // At most 1,000,000,000, and at least 1.
            tokens_per_s: tokens_per_s as u32,
            warm_penalty: routing.warm_penalty,
            most_queued: routing.most_queued,
        },
        health,
    };
    let engine = *value(&written.engine)?;
    let is_asked = *value(&written.signals)? && signals.enabled;
    let signals_path = value(&written.signals_path)?.clone();
    Some(Cluster {
        name: ClusterName::from(value(&written.name)?.as_str()),
        region,
        engine,
        replicas,
        policy_digest: policy.digest(),
        kv_block_tokens: *value(&written.kv_block_tokens)?,
        policy: Arc::new(policy),
        secret: value(&written.secret)?.as_deref().map(SecretName::from),
        prefill_tokens_per_s: tokens_per_s,
        price: value(&written.price)?.unwrap_or_default(),
        signals_path: is_asked.then(|| signals_path.unwrap_or_else(|| engine.signals_path().to_owned())),
        scaling,
    })
}

/// How a cluster is scaled: within the replicas that it has.
fn scaling(written: &written::Cluster, report: &mut Report) -> Option<ScalingPolicy> {
    let replicas = u32::try_from(entries(&written.replicas).len())
        .ok()
        .filter(|replicas| *replicas > 0)?;
    let scaling = value(&written.scaling)?;
    let most = scaling.max_replicas.as_ref()?;
    let max_replicas = most.value.unwrap_or(replicas);
    let least = scaling.min_replicas.as_ref()?;
    if max_replicas > replicas {
        let found = max_replicas.to_string();
        let expected = format!("expected at most {replicas}, as many as the cluster's `replicas`");
        report.add(most.place, Problem::OutOfRange { found }, expected);
    }
    if least.value > max_replicas {
        let found = least.value.to_string();
        report.add(
            least.place,
            Problem::OutOfRange { found },
            format!("expected at most {max_replicas}"),
        );
    }
    Some(ScalingPolicy {
        min_replicas: least.value,
        max_replicas,
        target_percent: *value(&scaling.target_percent)?,
        cold_start: *value(&scaling.cold_start_ms)?,
        scale_down_after: *value(&scaling.scale_down_after_ms)?,
        step_up_percent: *value(&scaling.step_up_percent)?,
        step_down_percent: *value(&scaling.step_down_percent)?,
        ttft: *value(&scaling.ttft_ms)?,
    })
}

/// Operators' digests, none of which may stand anywhere else.
fn keys(written: &[At<KeyDigest>], digests: &mut Once, report: &mut Report) -> Vec<KeyDigest> {
    written
        .iter()
        .map(|digest| only_here(digest, digests, report))
        .collect()
}

/// The digest, which may stand nowhere else: a key belongs to one tenant, or to operators.
pub(super) fn only_here(digest: &At<KeyDigest>, digests: &mut Once, report: &mut Report) -> KeyDigest {
    digests.add(&digest.with(digest.value.to_string()), report);
    digest.value
}
