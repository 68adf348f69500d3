//! The labels that several metrics have: what they are about, by name.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::ids::{BudgetName, ClusterName, ModelName, ReplicaName, TenantName, VersionName};

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct ClusterLabels {
    pub cluster: ClusterName,
}

/// One of a cluster's replicas.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct ReplicaLabels {
    pub cluster: ClusterName,
    pub replica: ReplicaName,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct ModelLabels {
    pub model: ModelName,
}

/// A model as a cluster serves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct ServedLabels {
    pub cluster: ClusterName,
    pub model: ModelName,
}

impl ServedLabels {
    pub fn new(cluster: &ClusterName, model: &ModelName) -> Self {
        Self {
            cluster: cluster.clone(),
            model: model.clone(),
        }
    }
}

macro_rules! label {
    ($($name:ty),*) => {
        $(impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
                EncodeLabelValue::encode(&self.as_str(), encoder)
            }
        })*
    };
}

label!(BudgetName, ClusterName, ModelName, ReplicaName, TenantName, VersionName);
