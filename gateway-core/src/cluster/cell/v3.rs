//! The state of a cluster's cell as version 3 of the formats laid it out. What it had no room for stands in a field that
//! its readers pass over, so that nothing is lost on the way through it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ClusterCell;
use super::drains::Drains;
use super::in_force::InForce;
use super::permits::{Permit, PermitTable};
use super::policies::Policies;
use super::queue::WaitingQueue;
use super::recent::RecentPrompts;
use super::replicas::Replicas;
use super::scaling::Scaling;
use super::shared::SharedPrefixes;
use super::signals::SignalTable;
use super::sites::{Sites, is_default};
use super::watched::Watched;
use crate::cluster::breaker::Breaker;
use crate::cluster::permit::{Capacity, PermitId};
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// The state of one cluster.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClusterCellV3 {
    replicas: BTreeMap<ReplicaName, ReplicaStateV3>,
    permits: BTreeMap<PermitId, PermitV3>,
    sweep_at: Timestamp,
    #[serde(default, skip_serializing_if = "Policies::is_empty")]
    policies: Policies,
    #[serde(default, skip_serializing_if = "is_default")]
    sites: Sites,
    #[serde(default, skip_serializing_if = "is_default")]
    shared: SharedPrefixes,
    #[serde(default, skip_serializing_if = "is_default")]
    recent: RecentPrompts,
    #[serde(default, skip_serializing_if = "WaitingQueue::is_blank")]
    queue: WaitingQueue,
    #[serde(default, skip_serializing_if = "is_default")]
    in_force: InForce,
    #[serde(default, skip_serializing_if = "Drains::is_empty")]
    drains: Drains,
    #[serde(default, skip_serializing_if = "SignalTable::is_blank")]
    signals: SignalTable,
    #[serde(default, skip_serializing_if = "Scaling::is_blank")]
    scaling: Scaling,
    #[serde(default, skip_serializing_if = "Watched::is_blank")]
    watched: Watched,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct ReplicaStateV3 {
    running: u32,
    kv_tokens: Tokens,
    breaker: Breaker,
}

#[derive(Debug, Serialize, Deserialize)]
struct PermitV3 {
    replica: ReplicaName,
    places: u32,
    kv_tokens: Tokens,
    expires: Timestamp,
    /// Of a version that does not tell, it has always been held.
    #[serde(default, skip_serializing_if = "is_default")]
    since: Timestamp,
}

impl From<&ClusterCell> for ClusterCellV3 {
    fn from(cell: &ClusterCell) -> Self {
        let mut replicas: BTreeMap<_, ReplicaStateV3> = BTreeMap::new();
        for replica in cell.known_replicas() {
            let held = cell.permits.held(replica);
            let state = ReplicaStateV3 {
                running: held.requests,
                kv_tokens: held.kv_tokens,
                breaker: cell.replicas.breaker(replica),
            };
            replicas.insert(replica.clone(), state);
        }
        let permits = cell.permits.iter().map(|(id, permit)| {
            let Capacity { requests, kv_tokens } = permit.capacity;
            let permit = PermitV3 {
                replica: permit.replica.clone(),
                places: requests,
                kv_tokens,
                expires: permit.expires,
                since: permit.since,
            };
            (id, permit)
        });
        Self {
            replicas,
            permits: permits.collect(),
            sweep_at: cell.permits.sweep_at(),
            policies: cell.policies.clone(),
            sites: cell.sites.clone(),
            shared: cell.shared.clone(),
            recent: cell.recent.clone(),
            queue: cell.queue.clone(),
            in_force: cell.in_force,
            drains: cell.drains.clone(),
            signals: cell.signals.clone(),
            scaling: cell.scaling.clone(),
            watched: cell.watched.clone(),
        }
    }
}

impl From<ClusterCellV3> for ClusterCell {
    fn from(cell: ClusterCellV3) -> Self {
        let permits = cell.permits.into_iter().map(|(id, permit)| {
            let capacity = Capacity {
                requests: permit.places,
                kv_tokens: permit.kv_tokens,
            };
            let permit = Permit {
                replica: permit.replica,
                capacity,
                expires: permit.expires,
                since: permit.since,
            };
            (id, permit)
        });
        let breakers = cell
            .replicas
            .into_iter()
            .map(|(replica, state)| (replica, state.breaker));
        let mut read = Self {
            permits: PermitTable::new(permits.collect(), cell.sweep_at),
            replicas: Replicas::new(breakers),
            policies: cell.policies,
            sites: cell.sites,
            shared: cell.shared,
            recent: cell.recent,
            queue: cell.queue,
            in_force: cell.in_force,
            drains: cell.drains,
            signals: cell.signals,
            scaling: cell.scaling,
            watched: cell.watched,
        };
        if !read.policies.is_empty() {
            read.find_sites();
        }
        read
    }
}
