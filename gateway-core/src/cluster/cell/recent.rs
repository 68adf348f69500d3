//! Where the latest prompts were sent, each by the last of its boundaries: the next turn of a conversation has that
//! boundary too. Bounded; what was used least recently goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::prompt::Boundary;
use crate::ids::{PrefixKey, Tokens};

/// The latest prompts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct RecentPrompts {
    /// The site of each, and when it was used.
    prompts: BTreeMap<PrefixKey, (usize, u64)>,
    /// How many have been sent.
    turn: u64,
}

impl RecentPrompts {
    /// Where the longest prefix of the prompt was sent that was all of a prompt, and how long that is.
    pub fn find(&self, boundaries: &[Boundary]) -> Option<(usize, Tokens)> {
        let mut longest_first = boundaries.iter().rev();
        longest_first.find_map(|boundary| {
            let (site, _) = self.prompts.get(&boundary.key)?;
            Some((*site, boundary.tokens))
        })
    }

    /// A prompt is sent to that site.
    pub fn on_sent(&mut self, boundaries: &[Boundary], site: usize) {
        let Some(last) = boundaries.last() else { return };
        self.turn += 1;
        self.prompts.insert(last.key, (site, self.turn));
        if self.prompts.len() > MOST_PROMPTS {
            self.forget_oldest();
        }
    }

    /// Many go at once, so that few requests have to look for the oldest.
    fn forget_oldest(&mut self) {
        let mut turns: Vec<_> = self.prompts.values().map(|(_, turn)| *turn).collect();
        let (_, oldest_kept, _) = turns.select_nth_unstable(FORGOTTEN_AT_ONCE);
        let oldest_kept = *oldest_kept;
        self.prompts.retain(|_, (_, turn)| *turn >= oldest_kept);
    }

    /// Sites stand elsewhere now, or are gone.
    pub fn move_sites(&mut self, moved: impl Fn(usize) -> Option<usize>) {
        self.prompts.retain(|_, (site, _)| {
            let now = moved(*site);
            *site = now.unwrap_or_default();
            now.is_some()
        });
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self, sites: usize) -> Result<(), String> {
        let is_bounded = self.prompts.len() <= MOST_PROMPTS;
        let is_known = self.prompts.values().all(|(site, _)| *site < sites);
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
    use super::*;

    fn prompt(keys: impl IntoIterator<Item = u64>) -> Vec<Boundary> {
        let boundary = |key| Boundary {
            key: PrefixKey(key),
            tokens: Tokens(key * 100),
        };
        keys.into_iter().map(boundary).collect()
    }

    #[test]
    fn the_next_turn_goes_where_the_last_one_went() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(&prompt([1, 2]), 3);
        recent.on_sent(&prompt([1, 5]), 4);
        assert_eq!(recent.find(&prompt([1, 2, 6])), Some((3, Tokens(200))));
        assert_eq!(recent.find(&prompt([1, 5])), Some((4, Tokens(500))));
        assert_eq!(recent.find(&prompt([1, 7])), None, "neither has ended there");
        recent.on_sent(&[], 1);
        recent.on_sent(&prompt([1, 2, 6]), 1);
        assert_eq!(
            recent.find(&prompt([1, 2, 8])),
            Some((3, Tokens(200))),
            "another branch"
        );
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_latest_are_not() {
        let mut recent = RecentPrompts::default();
        for key in 1..=2_000 {
            recent.on_sent(&prompt([key]), 0);
            assert_eq!(recent.check_invariants(1), Ok(()));
        }
        let is_known = |key| recent.find(&prompt([key])).is_some();
        assert!((1_600..=2_000).all(is_known) && !(1..=1_400).any(is_known));
    }

    #[test]
    fn sites_may_move_or_go() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(&prompt([1]), 0);
        recent.on_sent(&prompt([2]), 1);
        recent.move_sites(|site| (site == 1).then_some(5));
        assert_eq!(
            (recent.find(&prompt([1])), recent.find(&prompt([2]))),
            (None, Some((5, Tokens(200))))
        );
    }
}
