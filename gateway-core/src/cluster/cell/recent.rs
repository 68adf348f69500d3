//! Where the latest prompts were sent, each by the last of its boundaries: the next turn of a conversation has that
//! boundary too. Bounded; what was used least recently goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::turnover::Mark;
use crate::cluster::prompt::Boundary;
use crate::ids::{PrefixKey, Tokens};
use crate::time::Timestamp;

/// The latest prompts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct RecentPrompts {
    prompts: BTreeMap<PrefixKey, Recent>,
    /// How many have been sent.
    turn: u64,
}

/// A prompt that was sent to a site.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Recent {
    site: usize,
    /// Its number among all,
    turn: u64,
    /// and when it was sent.
    sent: Mark,
    /// Whether an engine has begun to answer it, so that it was all in memory.
    is_computed: bool,
}

/// A prompt that was in memory at a site, whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Computed {
    /// How long it is.
    pub tokens: Tokens,
    /// When it was sent.
    pub sent: Mark,
}

impl RecentPrompts {
    /// Where the longest prefix of the prompt was sent that was all of a prompt, and how long that is. `has` tells whether
    /// what was used at that moment may still be in a site's memory.
    pub fn find(&self, boundaries: &[Boundary], has: impl Fn(usize, Timestamp) -> bool) -> Option<(usize, Tokens)> {
        let mut longest_first = boundaries.iter().rev();
        longest_first.find_map(|boundary| {
            let recent = self.prompts.get(&boundary.key)?;
            has(recent.site, recent.sent.at).then_some((recent.site, boundary.tokens))
        })
    }

    /// A prompt is sent to that site.
    pub fn on_sent(&mut self, now: Mark, boundaries: &[Boundary], site: usize) {
        let Some(last) = boundaries.last() else { return };
        self.turn += 1;
        let recent = Recent {
            site,
            turn: self.turn,
            sent: now,
            is_computed: false,
        };
        self.prompts.insert(last.key, recent);
        if self.prompts.len() > MOST_PROMPTS {
            self.forget_oldest();
        }
    }

    /// An engine at that site has begun to answer the prompt.
    pub fn on_computed(&mut self, prompt: PrefixKey, site: usize) {
        if let Some(recent) = self.prompts.get_mut(&prompt).filter(|recent| recent.site == site) {
            recent.is_computed = true;
        }
    }

    /// The longest of the prompts that end at one of those boundaries and were whole in memory at that site.
    pub fn computed(&self, boundaries: &[Boundary], site: usize) -> Option<Computed> {
        let mut longest_first = boundaries.iter().rev();
        longest_first.find_map(|boundary| {
            let recent = self.prompts.get(&boundary.key)?;
            (recent.is_computed && recent.site == site).then_some(Computed {
                tokens: boundary.tokens,
                sent: recent.sent,
            })
        })
    }

    /// Many go at once, so that few requests have to look for the oldest.
    fn forget_oldest(&mut self) {
        let mut turns: Vec<_> = self.prompts.values().map(|recent| recent.turn).collect();
        let (_, oldest_kept, _) = turns.select_nth_unstable(FORGOTTEN_AT_ONCE);
        let oldest_kept = *oldest_kept;
        self.prompts.retain(|_, recent| recent.turn >= oldest_kept);
    }

    /// Sites stand elsewhere now, or are gone.
    pub fn move_sites(&mut self, moved: impl Fn(usize) -> Option<usize>) {
        self.prompts.retain(|_, recent| {
            let now = moved(recent.site);
            recent.site = now.unwrap_or_default();
            now.is_some()
        });
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self, sites: usize) -> Result<(), String> {
        let is_bounded = self.prompts.len() <= MOST_PROMPTS;
        let is_known = self.prompts.values().all(|recent| recent.site < sites);
        if is_bounded && is_known {
            Ok(())
        } else {
            Err(format!(
                "{} recent prompts, or one at none of {sites} sites",
                self.prompts.len()
            ))
        }
    }
}

/// So many prompts are known. Conversations of more than that have the prefix index.
const MOST_PROMPTS: usize = 512;
/// So many go when there are more.
const FORGOTTEN_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::turnover::Turnover;
    use super::*;

    fn prompt(keys: impl IntoIterator<Item = u64>) -> Vec<Boundary> {
        let boundary = |key| Boundary {
            key: PrefixKey(key),
            tokens: Tokens(key * 100),
        };
        keys.into_iter().map(boundary).collect()
    }

    fn at(seconds: u64) -> Mark {
        Turnover::default().mark(Timestamp::from_millis(seconds * 1_000))
    }

    fn find(recent: &RecentPrompts, keys: impl IntoIterator<Item = u64>) -> Option<(usize, Tokens)> {
        recent.find(&prompt(keys), |_, _| true)
    }

    #[test]
    fn the_next_turn_goes_where_the_last_one_went() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(at(0), &prompt([1, 2]), 3);
        recent.on_sent(at(0), &prompt([1, 5]), 4);
        assert_eq!(find(&recent, [1, 2, 6]), Some((3, Tokens(200))));
        assert_eq!(find(&recent, [1, 5]), Some((4, Tokens(500))));
        assert_eq!(find(&recent, [1, 7]), None, "neither has ended there");
        recent.on_sent(at(0), &[], 1);
        recent.on_sent(at(0), &prompt([1, 2, 6]), 1);
        assert_eq!(find(&recent, [1, 2, 8]), Some((3, Tokens(200))), "another branch");
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_latest_are_not() {
        let mut recent = RecentPrompts::default();
        for key in 1..=2_000 {
            recent.on_sent(at(0), &prompt([key]), 0);
            assert_eq!(recent.check_invariants(1), Ok(()));
        }
        let is_known = |key| find(&recent, [key]).is_some();
        assert!((1_600..=2_000).all(is_known) && !(1..=1_400).any(is_known));
    }

    #[test]
    fn sites_may_move_or_go() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(at(0), &prompt([1]), 0);
        recent.on_sent(at(0), &prompt([2]), 1);
        recent.move_sites(|site| (site == 1).then_some(5));
        assert_eq!((find(&recent, [1]), find(&recent, [2])), (None, Some((5, Tokens(200)))));
    }

    #[test]
    fn what_a_site_has_no_more_is_looked_for_elsewhere() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(at(1), &prompt([1]), 0);
        recent.on_sent(at(2), &prompt([1, 2]), 1);
        let find = |recent: &RecentPrompts, since| recent.find(&prompt([1, 2, 3]), |_, used| used >= at(since).at);
        assert_eq!(find(&recent, 2), Some((1, Tokens(200))));
        assert_eq!(find(&recent, 3), None);
        recent.on_sent(at(9), &prompt([1]), 0);
        assert_eq!(find(&recent, 3), Some((0, Tokens(100))));
    }

    #[test]
    fn what_an_engine_has_answered_was_in_memory() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(at(1), &prompt([1]), 0);
        recent.on_sent(at(2), &prompt([1, 2]), 0);
        let computed = |recent: &RecentPrompts, site| {
            recent
                .computed(&prompt([1, 2, 3]), site)
                .map(|computed| (computed.tokens.0, computed.sent))
        };
        assert_eq!(computed(&recent, 0), None, "its client may have left");
        recent.on_computed(PrefixKey(1), 0);
        recent.on_computed(PrefixKey(2), 5);
        assert_eq!(computed(&recent, 0), Some((100, at(1))));
        assert_eq!(computed(&recent, 5), None);
    }
}
