//! What is found in answers that their engines take for good ones.

use std::fmt;

use super::event::Level;
use crate::detect::{Action, Finding};
use crate::ids::{ClusterName, ModelName, ReplicaName};

/// Something about detectors.
#[derive(Clone, Copy, Debug)]
pub enum Detecting<'a> {
    /// One has found something. It says nothing of what the answer says.
    Found {
        /// Which cluster has answered.
        cluster: &'a ClusterName,
        /// Which replica; `None` where only the region knows.
        replica: Option<&'a ReplicaName>,
        /// As which model.
        model: &'a ModelName,
        /// What was found.
        finding: &'a Finding,
        /// What follows.
        action: Action,
    },
}

impl Detecting<'_> {
    /// How much it matters.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Found { .. } => Level::Warn,
        }
    }

    /// What happened.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Found { .. } => "detected",
        }
    }

    /// The rest of its line in a log.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found {
                cluster,
                replica,
                model,
                finding,
                action,
            } => {
                write!(f, " cluster={cluster}")?;
                if let Some(replica) = replica {
                    write!(f, " replica={replica}")?;
                }
                let (detector, action) = (finding.detector.name(), action.name());
                write!(f, " model={model} detector={detector} action={action}")?;
                write!(
                    f,
                    " score={:.2} at_bytes={}: {}",
                    finding.score, finding.at_bytes, finding.reason
                )
            }
        }
    }
}
