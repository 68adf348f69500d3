//! Who answered.

use std::fmt;
use std::time::Duration;

use crate::cache::CacheStatus;
use crate::config::CannedReason;
use crate::ids::{ClusterName, ModelName, Tokens, VersionName};
use crate::pipeline::warmth::Visit;

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum ServedBy {
    Engine {
        cluster: ClusterName,
        model: ModelName,
        tier: usize,
        prompt: Tokens,
        /// Whether that is what the engine will report.
        is_exact: bool,
        /// The bound on each answer that the tenant's budgets set, where it is the least.
        budgeted: Option<Tokens>,
        /// The version that serves, where the model has several.
        version: Option<ServedVersion>,
        /// Where in the cluster, and how warm its prompt is there.
        visit: Option<Visit>,
        /// What the response cache has to do with it.
        cache: CacheStatus,
    },
    /// The response cache.
    Cache {
        status: CacheStatus,
        model: ModelName,
        age: Duration,
    },
    /// A text does, for that reason.
    Canned(CannedReason),
}

/// The version that serves a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct ServedVersion {
    version: VersionName,
    /// The request's own, where that has no room or has failed.
    instead_of: Option<VersionName>,
}

impl ServedVersion {
    /// That one serves a request whose own is the other, or the same.
    pub fn new(version: VersionName, own: VersionName) -> Self {
        let instead_of = (own != version).then_some(own);
        Self { version, instead_of }
    }
}

impl fmt::Display for ServedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, instead_of } = self;
        write!(f, "{version}")?;
        match instead_of {
            Some(instead_of) => write!(f, ";instead_of={instead_of}"),
            None => Ok(()),
        }
    }
}
