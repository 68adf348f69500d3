//! That what an engine says of itself is not believed, as an event tells it.

use std::fmt;

use crate::ids::{ClusterName, ReplicaName};
use crate::signals::Ignored;

/// What an engine says of itself, or a part of it, is not believed.
#[derive(Clone, Copy, Debug)]
pub struct IgnoredSignal<'a> {
    /// Which cluster.
    pub cluster: &'a ClusterName,
    /// Which replica.
    pub replica: &'a ReplicaName,
    /// Why.
    pub reason: Ignored,
}

impl IgnoredSignal<'_> {
    /// The rest of the line.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cluster,
            replica,
            reason,
        } = self;
        write!(f, " cluster={cluster} replica={replica} reason={}", reason.label())
    }
}
