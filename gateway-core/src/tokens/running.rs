//! Counting text that comes in parts, as a streamed answer does, in bounded memory.

use super::encode::last_cut;
use super::table::Table;
use crate::ids::Tokens;

/// The count of a text so far.
#[derive(Clone, Debug, Default)]
pub struct Running {
    settled: u64,
    /// What is not counted yet: the end of the text, which what comes next may change the tokens of.
    pending: String,
}

impl Running {
    /// Adds the next part of the text.
    pub fn push(&mut self, table: &Table, part: &str) {
        self.pending.push_str(part);
        if self.pending.len() < PENDING_BYTES {
            return;
        }
        let cut = last_cut(&self.pending);
        // Without a safe cut for long, one that may be a token off is taken.
        let cut = cut.or_else(|| (self.pending.len() >= MOST_PENDING_BYTES).then_some(self.pending.len()));
        if let Some(cut) = cut {
            self.settled += table.count(&self.pending[..cut]).0;
            self.pending.drain(..cut);
        }
    }

    /// Tokens of all parts together.
    pub fn total(&self, table: &Table) -> Tokens {
        Tokens(self.settled) + table.count(&self.pending)
    }
}

/// Counting is done in lots of about this much.
const PENDING_BYTES: usize = 512;
/// The most that is kept for want of a safe cut.
const MOST_PENDING_BYTES: usize = 8 * 1024;
