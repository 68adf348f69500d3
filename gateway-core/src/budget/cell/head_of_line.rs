//! Who is first in line.

use serde::{Deserialize, Serialize};

use crate::budget::limits::Rate;
use crate::time::Timestamp;

/// The request that is first in line, known by its size: it may come back to another location. Half of what comes into the
/// bucket is kept for it, so that many small requests cannot keep a large one waiting for ever, nor a large one all small
/// ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeadOfLine {
    pub tokens: u64,
    pub since: Timestamp,
    /// When all of it is there for certain.
    pub full: Timestamp,
}

impl HeadOfLine {
    /// Whether it is for a request about that large: a small one must not use up what a large one waits for.
    pub fn is_for(&self, tokens: u64) -> bool {
        tokens <= self.tokens && tokens.saturating_mul(2) > self.tokens
    }

    /// What is kept for it by now.
    pub fn kept(&self, now: Timestamp, rate: Rate) -> u64 {
        (rate.inflow(now.since(self.since)) / 2).min(self.tokens)
    }
}
