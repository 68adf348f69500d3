//! Why a region hop did nothing with an order.

use std::time::Duration;

use thiserror::Error;

use crate::ids::SecretName;
use crate::platform::SendError;

/// Why a region hop did nothing with an order. It says nothing of the engines behind it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HopError {
    /// It has failed of late, and is left alone.
    #[error("left alone after it failed")]
    Open {
        /// For how long still.
        recovery: Duration,
    },
    /// It could not be reached, or broke off before it answered.
    #[error("not reached: {0}")]
    Send(#[from] SendError),
    /// It did not answer in time.
    #[error("no answer in time")]
    Silent,
    /// It did not take the order: another key, another clock, another configuration.
    #[error("refused with status {status}: {words}")]
    Refused {
        /// Its status.
        status: u16,
        /// What it said.
        words: String,
    },
    /// What it answered is no answer of a region hop.
    #[error("not the answer of a region hop")]
    Garbage,
    /// The platform has no value for the secret that orders are signed with.
    #[error("secret `{0}`, which signs orders, is not set on this platform")]
    NoKey(SecretName),
}

impl HopError {
    /// One word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Open { .. } => "hop_open",
            Self::Send(_) => "hop_unreachable",
            Self::Silent => "hop_silent",
            Self::Refused { .. } => "hop_refused",
            Self::Garbage => "hop_garbage",
            Self::NoKey(_) => "hop_no_key",
        }
    }
}
