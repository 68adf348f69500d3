//! Which version to write into a log: the version before, as long as the log shows somebody who reads no other. Every
//! use of a cell appends to its log, and each entry tells what its writer reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Format;
use crate::time::Timestamp;

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
        self.current_since = is_current.then(|| self.current_since.unwrap_or(at));
    }

    /// The version to write: the current one once all have read it for a while.
    pub fn format(&self) -> Format {
        let is_settled = |since| self.last.since(since) >= SETTLED_AFTER;
        if self.current_since.is_some_and(is_settled) {
            Format::CURRENT
        } else {
            Format::BEFORE
        }
    }
}

/// The version before is written for so long after the last sign of anybody who reads no other. Whoever is silent for
/// longer than that and comes back misses what is written in the current one: permits that it does not see expire.
const SETTLED_AFTER: Duration = Duration::from_secs(600);
