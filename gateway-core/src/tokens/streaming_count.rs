//! Counting text that comes in parts, as a streamed answer does, in bounded memory.

use super::encode::last_cut;
use super::table::Table;
use crate::ids::Tokens;

/// The count of a text so far.
#[derive(Clone, Debug, Default)]
pub struct StreamingCount {
    settled: u64,
    /// What is not counted yet: the end of the text, which what comes next may change the tokens of.
    pending: String,
    /// Up to here, no safe cut is in it.
    searched: usize,
}

impl StreamingCount {
    /// Adds the next part of the text.
    pub fn push(&mut self, table: &Table, part: &str) {
        self.pending.push_str(part);
        if self.pending.len() < PENDING_BYTES {
            return;
        }
        let cut = last_cut(&self.pending, self.searched);
        // Without a safe cut for long, one that may be a token off is taken.
        let cut = cut.or_else(|| (self.pending.len() >= MOST_PENDING_BYTES).then_some(self.pending.len()));
        if let Some(cut) = cut {
            self.settled += table.count(&self.pending[..cut]).0;
            self.pending.drain(..cut);
        }
        self.searched = self.pending.len();
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

#[cfg(all(test, feature = "compile"))]
mod tests {
    use super::super::compile::toy;
    use super::*;

    #[test]
    fn parts_of_any_size_count_as_the_whole() {
        let table = toy::table();
        let text = "abba baab, cab aabb\n".repeat(200);
        for size in [1, 7, 100, 600, 5000] {
            let mut running = StreamingCount::default();
            for part in text.as_bytes().chunks(size) {
                running.push(&table, std::str::from_utf8(part).unwrap());
                assert!(running.pending.len() < PENDING_BYTES + size);
            }
            assert_eq!(running.total(&table), table.count(&text), "{size}");
        }
    }

    #[test]
    fn a_cut_is_found_wherever_parts_are_put_together() {
        let table = toy::table();
        let run = "a".repeat(PENDING_BYTES);
        for (first, second) in [("", " b"), ("a", " b"), ("a ", "b"), ("a b", "a"), ("。", " b")] {
            let mut running = StreamingCount::default();
            running.push(&table, &run);
            assert_eq!(running.pending.len(), PENDING_BYTES, "there is no cut yet");
            running.push(&table, first);
            running.push(&table, second);
            let text = [run.as_str(), first, second].concat();
            let cut = last_cut(&text, 0).unwrap();
            assert_eq!(running.pending, text[cut..]);
            assert_eq!(running.total(&table), table.count(&text));
        }
    }

    #[test]
    fn what_has_no_cut_is_not_kept_for_ever() {
        let (table, mut running) = (toy::table(), StreamingCount::default());
        for _ in 0..10_000 {
            running.push(&table, "aaaa");
            assert!(running.pending.len() <= MOST_PENDING_BYTES);
        }
        let (found, exact) = (running.total(&table).0, table.count(&"aaaa".repeat(10_000)).0);
        assert!(found.abs_diff(exact) <= 5, "{found} {exact}");
    }
}
