//! What happens when tokens are counted.

use std::fmt;

use super::event::Level;
use crate::ids::{ClusterName, ModelName, Tokens};
use crate::tokens::Basis;

/// Something about the counting of tokens.
#[derive(Clone, Copy, Debug)]
pub enum Counting<'a> {
    /// The tokens of a request's prompt are counted.
    Counted {
        /// The model that it asks for.
        model: &'a ModelName,
        /// How many they are.
        prompt: Tokens,
        /// What the count rests on.
        basis: Basis,
    },
    /// A model has a table, and a prompt could not be counted by it.
    Uncounted {
        /// The model.
        model: &'a ModelName,
        /// Why, in one word.
        reason: &'static str,
    },
    /// A count that claimed to be exact is not what the engine reported.
    Miscounted {
        /// Which cluster answered.
        cluster: &'a ClusterName,
        /// As which model.
        model: &'a ModelName,
        /// The prompt as it was counted here.
        counted: Tokens,
        /// The prompt as the engine reported it.
        reported: Tokens,
    },
    /// An answer ended without a report of what it took; these are the gateway's own counts.
    Unreported {
        /// Which model it was.
        model: &'a ModelName,
        /// The prompt.
        prompt: Tokens,
        /// What had been written.
        completion: Tokens,
    },
}

impl Counting<'_> {
    /// How much it matters.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Counted { .. } | Self::Unreported { .. } => Level::Debug,
            Self::Uncounted { .. } | Self::Miscounted { .. } => Level::Warn,
        }
    }

    /// What happened.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Counted { .. } => "counted",
            Self::Uncounted { .. } => "prompt not counted",
            Self::Miscounted { .. } => "prompt miscounted",
            Self::Unreported { .. } => "unreported",
        }
    }

    /// The rest of its line in a log.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted { model, basis, .. } => write!(f, " model={model} basis={}", basis.label()),
            Self::Uncounted { model, reason } => write!(f, " model={model} reason={reason}"),
            Self::Miscounted {
                cluster,
                model,
                counted,
                reported,
            } => {
                write!(
                    f,
                    " cluster={cluster} model={model} counted={counted} reported={reported}"
                )
            }
            Self::Unreported {
                model,
                prompt,
                completion,
            } => write!(f, " model={model} prompt={prompt} completion={completion}"),
        }
    }
}
