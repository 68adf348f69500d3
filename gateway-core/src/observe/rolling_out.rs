//! What happens to versions of models and their rollouts.

use std::fmt;

use super::event::Level;
use crate::ids::{ModelName, VersionName};
use crate::rollout::{Change, ChangeKind, FaultKind};

/// Something about a rollout.
#[derive(Clone, Copy, Debug)]
pub enum RollingOut<'a> {
    /// A request has a version, in one tier of its ladder.
    Allotted {
        /// Of which model.
        model: &'a ModelName,
        /// Which.
        version: &'a VersionName,
        /// Whether what it meets there counts: not where it is on it from before, or its tenant may not see all versions.
        counts: bool,
    },
    /// A request came to an answer or a fault at its version.
    Met {
        /// Of which model.
        model: &'a ModelName,
        /// Which.
        version: &'a VersionName,
        /// How it failed, if it did.
        fault: Option<FaultKind>,
    },
    /// Another version than its own answers a request, for its own has no room or has failed.
    FellBack {
        /// Of which model.
        model: &'a ModelName,
        /// The request's version.
        version: &'a VersionName,
        /// The one that answers.
        served: &'a VersionName,
    },
    /// A rollout goes on by itself, or is taken back. Told by the gateway alone whose report brought it about.
    Changed {
        /// Of which model.
        model: &'a ModelName,
        /// What has changed.
        change: &'a Change,
    },
    /// A rollout's cell did not answer: the weights known last go on.
    Unreachable {
        /// Of which model.
        model: &'a ModelName,
    },
}

impl RollingOut<'_> {
    /// How much it matters.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Allotted { .. } | Self::Met { .. } | Self::FellBack { .. } => Level::Debug,
            Self::Changed { change, .. } if change.kind == ChangeKind::RolledBack => Level::Warn,
            Self::Changed { .. } => Level::Info,
            Self::Unreachable { .. } => Level::Warn,
        }
    }

    /// What happened.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Allotted { .. } => "version allotted",
            Self::Met { .. } => "version met",
            Self::FellBack { .. } => "another version answers",
            Self::Changed { change, .. } if change.kind == ChangeKind::RolledBack => "rollout taken back",
            Self::Changed { .. } => "rollout goes on",
            Self::Unreachable { .. } => "rollout unreachable",
        }
    }

    /// The rest of its line in a log.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allotted { model, version, counts } => write!(f, " model={model} version={version} counts={counts}"),
            Self::Met { model, version, fault } => {
                write!(f, " model={model} version={version} met={}", outcome(*fault))
            }
            Self::FellBack { model, version, served } => {
                write!(f, " model={model} version={version} served={served}")
            }
            Self::Changed { model, change } => {
                write!(f, " model={model} change={}", change.kind.as_str())?;
                if let Some(version) = &change.version {
                    write!(f, " version={version}")?;
                }
                write!(f, " weights=\"{}\"", change.weights)?;
                match &change.reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
            Self::Unreachable { model } => write!(f, " model={model}"),
        }
    }
}

/// One word for how a version served a request.
pub(super) fn outcome(fault: Option<FaultKind>) -> &'static str {
    fault.map_or("served", FaultKind::as_str)
}
