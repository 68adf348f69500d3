//! Whether a log may be told what only the current version can say: not as long as it shows somebody who reads the
//! version before alone. Every use of a cell appends to its log, and each entry tells what its writer reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::timeline::Timeline;

/// Who appends to a log, as far as it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::cells) struct Writers {
    /// When the last entry was appended.
    last: Timestamp,
    /// Since when all of them read the current version; `None` where one of them did not, or nobody can tell.
    current_since: Option<Timestamp>,
}

impl Writers {
    /// An entry was appended, by one who reads the current version or does not.
    pub fn on_entry(&mut self, at: Timestamp, is_current: bool) {
        self.last = at;
        self.current_since = is_current.then(|| self.current_since.map_or(at, |since| since.min(at)));
    }

    /// The time of a cell that was last used when they last appended, and has seen no later moment than `latest`.
    pub fn last_used(self, latest: Option<Timestamp>) -> Timeline {
        Timeline::new(self.last, latest.map_or(self.last, |latest| latest.max(self.last)))
    }

    /// Whether all of them have read the current version for a while.
    pub fn are_current(&self) -> bool {
        let is_settled = |since| self.last.since(since) >= SETTLED_AFTER;
        self.current_since.is_some_and(is_settled)
    }
}

/// Nothing that the version before cannot say is said for so long after the last sign of anybody who reads no other.
/// Whoever is silent for longer than that and comes back misses the permits that were asked for by a digest, until they
/// are renewed or expire.
const SETTLED_AFTER: Duration = Duration::from_secs(600);
