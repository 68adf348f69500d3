//! Which cells there are, and how they are addressed.

use crate::cache::CacheKey;
use crate::config::{Cluster, Model};
use crate::geo::Coordinates;
use crate::hop::OrdersId;
use crate::ids::{BudgetId, ClusterName, ModelName};

/// Which cell, and where on Earth it is best kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CellAddress {
    /// What the cell is for.
    pub id: CellId,
    /// Where the traffic that matters to it is: the cluster's region.
    pub near: Coordinates,
}

impl CellAddress {
    /// The address of a cluster's cell.
    pub fn of_cluster(cluster: &Cluster) -> Self {
        Self {
            id: CellId::Cluster(cluster.name.clone()),
            near: cluster.region.coordinates,
        }
    }

    /// The address of the cell of a model's rollout: best kept near the first of its clusters. `None` where the model has
    /// no versions.
    pub fn of_rollout(model: &Model) -> Option<Self> {
        model.rollout.as_ref()?;
        Some(Self {
            id: CellId::Rollout(model.name.clone()),
            near: model.serving.first()?.cluster.region.coordinates,
        })
    }
}

/// A cell's identity: its kind and the name of what it keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellId {
    /// In-flight requests and kv_cache of one cluster.
    Cluster(ClusterName),
    /// What engines' reports have taught about the tokens of one model.
    Estimate(ModelName),
    /// What a tenant may use of a group of models.
    Budget(BudgetId),
    /// The weights of one model's versions, and its rollout.
    Rollout(ModelName),
    /// Which orders of the edge a cluster's region hop has taken.
    Orders(OrdersId),
    /// Who asks for the answer of that key.
    Flight(CacheKey),
}

impl CellId {
    /// The identity as one string, `kind/name`, for runtimes that address cells by string.
    pub fn key(&self) -> String {
        match self {
            Self::Cluster(name) => format!("cluster/{name}"),
            Self::Estimate(model) => format!("estimate/{model}"),
            Self::Budget(id) => format!("budget/{id}"),
            Self::Orders(id) => format!("orders/{id}"),
            Self::Rollout(model) => format!("rollout/{model}"),
            Self::Flight(key) => format!("flight/{key}"),
        }
    }

    /// Whether there is such a cell for each of many things that come and go, so that none is kept for longer than it says
    /// something. Any may be forgotten at any time.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Flight(_) => true,
            Self::Cluster(_) | Self::Estimate(_) | Self::Budget(_) | Self::Rollout(_) | Self::Orders(_) => false,
        }
    }

    /// The identity that `key` was made from, or `None` where it names no kind of this version.
    pub fn from_key(key: &str) -> Option<Self> {
        match key.split_once('/')? {
            ("cluster", name) if !name.is_empty() => Some(Self::Cluster(name.into())),
            ("estimate", model) if !model.is_empty() => Some(Self::Estimate(model.into())),
            ("rollout", model) if !model.is_empty() => Some(Self::Rollout(model.into())),
            ("flight", key) => CacheKey::parse(key).map(Self::Flight),
            ("orders", id) => OrdersId::parse(id).map(Self::Orders),
            ("budget", names) => match names.split_once('/')? {
                (tenant, name) if !tenant.is_empty() && !name.is_empty() => Some(Self::Budget(BudgetId {
                    tenant: tenant.into(),
                    name: name.into(),
                })),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_as_they_are_written() {
        for id in [
            CellId::Cluster("eu".into()),
            CellId::Estimate("org/model/v1".into()),
            CellId::Budget(BudgetId {
                tenant: "acme".into(),
                name: "chat".into(),
            }),
            CellId::Orders(OrdersId::of(&"eu".into(), 7)),
            CellId::Rollout("org/model/v1".into()),
            CellId::Flight(CacheKey::parse(&"0f".repeat(32)).unwrap()),
        ] {
            assert_eq!(CellId::from_key(&id.key()), Some(id));
        }
        for key in [
            "estimate/",
            "estimate",
            "rollout/",
            "flight/0f",
            "other/eu",
            "budget/acme",
            "budget/acme/",
            "budget//chat",
        ] {
            assert_eq!(CellId::from_key(key), None, "{key}");
        }
    }
}
