//! What happens when tokens are counted.

use std::fmt;

use super::event::Level;
use crate::ids::{ClusterName, ModelName, RequestId, Tokens};
use crate::tokens::Basis;

/// Something about the counting of tokens.
#[derive(Clone, Copy, Debug)]
pub enum Counting<'a> {
    /// The tokens of a request's prompt are counted.
    Counted {
        /// The model that it asks for.
        model: &'a ModelName,
        /// What the count rests on.
        basis: Basis,
    },
    /// A model has a table, and a prompt could not be counted by it.
    Uncounted {
        /// The request.
        id: &'a RequestId,
        /// The model.
        model: &'a ModelName,
        /// Why, in one word.
        reason: &'static str,
    },
    /// A count that claimed to be exact is not what the engine reported.
    Miscounted {
        /// The request.
        id: &'a RequestId,
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
            Self::Counted { .. } | Self::Unreported { .. } => Level::Info,
            Self::Uncounted { .. } | Self::Miscounted { .. } => Level::Warn,
        }
    }
}

impl fmt::Display for Counting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted { model, basis } => write!(f, "counted model={model} basis={}", basis.label()),
            Self::Uncounted { id, model, reason } => {
                write!(
                    f,
                    "prompt not counted request={} model={model} reason={reason}",
                    id.as_str()
                )
            }
            Self::Miscounted {
                id,
                cluster,
                model,
                counted,
                reported,
            } => {
                write!(
                    f,
                    "prompt miscounted request={} cluster={cluster} model={model} counted={counted} reported={reported}",
                    id.as_str()
                )
            }
            Self::Unreported {
                model,
                prompt,
                completion,
            } => write!(f, "unreported model={model} prompt={prompt} completion={completion}"),
        }
    }
}
