//! What happens about texts that stand for an engine's answer.

use std::fmt;

use super::event::Level;
use crate::api::NoCannedAnswer;
use crate::config::{CannedReason, ConfigErrors};
use crate::ids::ModelName;

/// Something about canned answers.
#[derive(Clone, Copy, Debug)]
pub enum Canning<'a> {
    /// A canned answer was given.
    Given {
        /// The model that was asked for.
        model: &'a ModelName,
        /// Why no engine answers.
        reason: CannedReason,
    },
    /// There was a text, and no answer of it, since the request wants something else than a text.
    Withheld {
        /// The model that was asked for.
        model: &'a ModelName,
        /// Why no engine answers.
        reason: CannedReason,
        /// Why no text does.
        why: NoCannedAnswer,
    },
    /// A tier was passed over, since operators keep its model out of service.
    PassedOver {
        /// The tier's model.
        model: &'a ModelName,
    },
    /// Texts of the store are in force, or again those of the configuration.
    Applied {
        /// The version of the document; `None` where there is none.
        version: Option<&'a str>,
    },
    /// The texts in the store are wrong; those before stay.
    Refused {
        /// What is wrong with them.
        errors: &'a ConfigErrors,
    },
}

impl Canning<'_> {
    /// How much it matters.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::PassedOver { .. } => Level::Debug,
            Self::Given { reason, .. } | Self::Withheld { reason, .. } => match reason {
                CannedReason::Overload => Level::Warn,
                // Somebody wants it so.
                CannedReason::Maintenance | CannedReason::BlockedRegion | CannedReason::Budget => Level::Debug,
            },
            Self::Applied { .. } => Level::Info,
            Self::Refused { .. } => Level::Warn,
        }
    }

    /// What happened.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Given { .. } => "canned answer",
            Self::Withheld { .. } => "canned answer withheld",
            Self::PassedOver { .. } => "model in maintenance",
            Self::Applied { .. } => "canned texts applied",
            Self::Refused { .. } => "canned texts in the store refused, those before stay",
        }
    }

    /// The rest of its line in a log.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given { model, reason } => write!(f, " model={model} reason={}", reason.as_str()),
            Self::Withheld { model, reason, why } => {
                write!(f, " model={model} reason={} why={}", reason.as_str(), why.label())
            }
            Self::PassedOver { model } => write!(f, " model={model}"),
            Self::Applied { version } => write!(f, " version={}", version.unwrap_or("none")),
            Self::Refused { errors } => write!(f, ":\n{errors}"),
        }
    }
}
