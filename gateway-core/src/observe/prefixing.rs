//! What happens about prefixes: their index, and what engines had of them.

use std::fmt;

use super::event::Level;
use crate::ids::{ClusterName, ReplicaName, Tokens};
use crate::platform::StoreError;

/// Something about prefixes.
#[derive(Clone, Copy, Debug)]
pub enum Prefixing<'a> {
    /// A row of the index was remembered, also that there is none.
    Remembered,
    /// The index was read.
    Read {
        /// Whether it has the row.
        is_found: bool,
    },
    /// The index could not be read.
    Unread,
    /// A request has waited for its row.
    Waited {
        /// Whether it did without in the end.
        is_late: bool,
    },
    /// A row was written.
    Written,
    /// The store did not take a row.
    Refused {
        /// Why.
        error: &'a StoreError,
    },
    /// An engine told how much of a prompt it had in its cache.
    Found {
        /// The engine's cluster,
        cluster: &'a ClusterName,
        /// and which of its replicas it is.
        replica: &'a ReplicaName,
        /// The prompt.
        prompt: Tokens,
        /// How much of it was expected to be there.
        expected: Tokens,
        /// How much was.
        cached: Tokens,
    },
}

impl Prefixing<'_> {
    /// How much it matters.
    pub(super) fn level(&self) -> Level {
        // Nothing fails with the index: prompts are computed anew.
        Level::Debug
    }

    /// What happened.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Remembered => "index remembered",
            Self::Read { .. } => "index read",
            Self::Unread => "index unreadable",
            Self::Waited { .. } => "index waited for",
            Self::Written => "index written",
            Self::Refused { .. } => "index refused a row",
            Self::Found { .. } => "prefix found",
        }
    }

    /// The rest of its line in a log.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remembered | Self::Unread | Self::Written => Ok(()),
            Self::Read { is_found } => write!(f, " found={is_found}"),
            Self::Waited { is_late } => write!(f, " late={is_late}"),
            Self::Refused { error } => write!(f, " error={error}"),
            Self::Found {
                cluster,
                replica,
                prompt,
                expected,
                cached,
            } => write!(
                f,
                " cluster={cluster} replica={replica} prompt={prompt} expected={expected} cached={cached}"
            ),
        }
    }
}
