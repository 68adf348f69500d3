//! Why a region hop does not take an order.

use thiserror::Error;

use crate::hop::SignatureError;

/// Why a region hop does not take an order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OrderRefused {
    /// It is not signed as it must be.
    #[error("the order cannot be trusted: {0}")]
    Signature(#[from] SignatureError),
    /// The platform has no value for the secret that it is signed with.
    #[error("the secret `{key}`, which hops.keys names, is not set at this region hop")]
    NoKey {
        /// The secret.
        key: String,
    },
    /// What is said of it is not understood.
    #[error("the order's facts are not understood: the releases of edge and region are more than one apart")]
    Facts,
    /// The configuration here does not have what it names.
    #[error("the configuration here has no {what} `{name}`: edge and region must have the same one")]
    Unknown {
        /// What it names.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It cannot be told whether it has come before.
    #[error("it cannot be told whether the order has come before: its cell does not answer")]
    Cell,
}

impl OrderRefused {
    /// One word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Signature(SignatureError::Missing) => "unsigned",
            Self::Signature(SignatureError::Malformed | SignatureError::Forged) => "forged",
            Self::Signature(SignatureError::UnknownKey) => "unknown_key",
            Self::Signature(SignatureError::Stale) => "stale",
            Self::Signature(SignatureError::Replayed) => "replayed",
            Self::NoKey { .. } => "no_key",
            Self::Facts => "facts",
            Self::Unknown { .. } => "unknown",
            Self::Cell => "cell",
        }
    }
}
