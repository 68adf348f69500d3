//! What others than this gateway have decided of a request: a cluster's cell, or a region hop.

use std::fmt;

use crate::cluster::Weighed;
use crate::config::HopAddress;
use crate::ids::ClusterName;

/// Something that was decided elsewhere.
#[derive(Clone, Copy, Debug)]
pub enum Weighing<'a> {
    /// A cluster's cell has told what it weighed, for whoever asks why.
    Replicas {
        /// Which cluster.
        cluster: &'a ClusterName,
        /// What it weighed.
        weighed: &'a Weighed,
    },
    /// A region hop has answered an order.
    ByRegion {
        /// For which cluster.
        cluster: &'a ClusterName,
        /// Which hop.
        hop: &'a HopAddress,
        /// What it tells of its own decisions, where it was asked for that.
        told: Option<&'a str>,
    },
}

impl Weighing<'_> {
    /// What happened.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Replicas { .. } => "weighed",
            Self::ByRegion { .. } => "answered by region",
        }
    }

    /// The rest of its line in a log.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replicas { cluster, weighed } => write!(f, " cluster={cluster} replicas={}", weighed.replicas.len()),
            Self::ByRegion { cluster, hop, .. } => write!(f, " cluster={cluster} hop={hop}"),
        }
    }
}
