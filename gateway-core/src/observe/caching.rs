//! What happens about the response cache.

use std::fmt;

use super::event::Level;
use crate::cache::{CacheKey, CacheStatus};
use crate::ids::ModelName;
use crate::platform::StoreError;

/// Something about the response cache.
#[derive(Clone, Copy, Debug)]
pub enum Caching<'a> {
    /// A request that uses the cache has an answer.
    Answered {
        /// Of which model.
        model: &'a ModelName,
        /// From where.
        status: CacheStatus,
        /// Under which key it is, or would be.
        key: &'a CacheKey,
    },
    /// The store was read.
    Read {
        /// `read`, or why it was not: `failed` or `late`.
        outcome: &'static str,
    },
    /// The cell of a request's key was asked whether another location asks an engine already.
    Joined {
        /// What it said: `leads`, `follows`, `landed`, `stored` or `alone`; `silent` where it said nothing in time.
        outcome: &'static str,
    },
    /// An answer was written to the store.
    Stored {
        /// Of which model.
        model: &'a ModelName,
        /// How many bytes it takes there.
        bytes: usize,
        /// Why the store did not take it, if it did not.
        error: Option<&'a StoreError>,
    },
}

impl Caching<'_> {
    /// How much it matters.
    pub(super) fn level(&self) -> Level {
        // Nothing fails with the cache: engines are asked.
        Level::Debug
    }

    /// What happened.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Answered { .. } => "cache asked",
            Self::Read { .. } => "cache read",
            Self::Joined { .. } => "cache flight joined",
            Self::Stored { error: None, .. } => "answer stored",
            Self::Stored { error: Some(_), .. } => "answer not stored",
        }
    }

    /// The rest of its line in a log.
    pub(super) fn write_particulars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { model, status, key } => write!(f, " model={model} status={} key={key}", status.as_str()),
            Self::Read { outcome } | Self::Joined { outcome } => write!(f, " outcome={outcome}"),
            Self::Stored { model, bytes, error } => {
                write!(f, " model={model} bytes={bytes}")?;
                match error {
                    Some(error) => write!(f, " error={error}"),
                    None => Ok(()),
                }
            }
        }
    }
}
