//! Where the latest prompts were sent, each by some of its boundaries: its last one, which the next turn of its conversation
//! has too, and a few before that at growing distances, by which a prompt finds most of what it shares with another, such as
//! a document that both ask about. Bounded; what was used least recently goes.

use serde::{Deserialize, Serialize};

use super::prefix_map::PrefixMap;
use super::turnover::Mark;
use crate::cluster::prompt::Boundary;
use crate::ids::{PrefixKey, Tokens};
use crate::time::Timestamp;

/// The latest prompts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct RecentPrompts {
    prefixes: PrefixMap<Recent>,
    /// How many prompts have been sent.
    turn: u64,
}

/// A prefix that prompts had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Recent {
    /// Where they were sent, at most [`MOST_VISITS`], the latest one first.
    visits: Vec<Visit>,
    /// The number among all of the latest one.
    turn: u64,
}

/// Where a prefix was sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Visit {
    site: usize,
    /// When it was last used there.
    used: Mark,
    /// The prompt that was no more than this, if there was one.
    whole: Option<Whole>,
}

/// A prompt that was sent to a site.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Whole {
    sent: Mark,
    /// Whether an engine has begun to answer it, so that it was all in memory.
    is_computed: bool,
}

/// A prefix that is in memory at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub site: usize,
    /// How long it is.
    pub tokens: Tokens,
    /// Whether the prompt that is looked for goes on here with the longest, latest one that was no more than this.
    pub goes_on: bool,
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
    /// Where prefixes of the prompt were sent, of each site the longest. `has` tells whether what was used at that moment may
    /// still be in a site's memory.
    pub fn find(&self, boundaries: &[Boundary], has: impl Fn(usize, Timestamp) -> bool) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for boundary in boundaries.iter().rev() {
            let Some(recent) = self.prefixes.get(&boundary.key) else {
                continue;
            };
            for visit in recent.visits.iter().filter(|visit| has(visit.site, visit.used.at)) {
                if found.iter().all(|found| found.site != visit.site) {
                    found.push(Found {
                        site: visit.site,
                        tokens: boundary.tokens,
                        goes_on: visit.whole.is_some() && !found.iter().any(|found| found.goes_on),
                    });
                }
            }
        }
        found
    }

    /// A prompt is sent to that site. What is known of it is in use there; of the rest, which is new, a few boundaries are
    /// known from now on, at distances of 1, 2, 4 and so on from its end.
    pub fn on_sent(&mut self, now: Mark, boundaries: &[Boundary], site: usize) {
        let Some((last, _)) = boundaries.split_last() else {
            return;
        };
        self.turn += 1;
        let turn = self.turn;
        let mut new_from = 0;
        for (place, boundary) in boundaries.iter().enumerate() {
            if let Some(recent) = self.prefixes.get_mut(&boundary.key) {
                recent.on_used(now, turn, site);
                new_from = place + 1;
            }
        }
        let distances = std::iter::successors(Some(1), |distance| Some(distance * 2));
        let places = distances.map_while(|distance| boundaries.len().checked_sub(distance));
        for place in places.take_while(|place| *place >= new_from) {
            let mut recent = Recent {
                visits: Vec::with_capacity(1),
                turn,
            };
            recent.on_used(now, turn, site);
            self.prefixes.insert(boundaries[place].key, recent);
        }
        if let Some(visit) = self.visit_mut(last.key, site) {
            visit.whole = Some(Whole {
                sent: now,
                is_computed: false,
            });
        }
        if self.prefixes.len() > MOST_PREFIXES {
            self.forget_oldest();
        }
    }

    /// An engine at that site has begun to answer the prompt.
    pub fn on_computed(&mut self, prompt: PrefixKey, site: usize) {
        let visit = self.visit_mut(prompt, site);
        if let Some(whole) = visit.and_then(|visit| visit.whole.as_mut()) {
            whole.is_computed = true;
        }
    }

    fn visit_mut(&mut self, prefix: PrefixKey, site: usize) -> Option<&mut Visit> {
        let recent = self.prefixes.get_mut(&prefix)?;
        recent.visits.iter_mut().find(|visit| visit.site == site)
    }

    /// The longest of the prompts that end at one of those boundaries and were whole in memory at that site.
    pub fn computed(&self, boundaries: &[Boundary], site: usize) -> Option<Computed> {
        let mut longest_first = boundaries.iter().rev();
        longest_first.find_map(|boundary| {
            let recent = self.prefixes.get(&boundary.key)?;
            let visit = recent.visits.iter().find(|visit| visit.site == site)?;
            visit.whole.filter(|whole| whole.is_computed).map(|whole| Computed {
                tokens: boundary.tokens,
                sent: whole.sent,
            })
        })
    }

    /// Many go at once, so that few requests have to look for the oldest.
    fn forget_oldest(&mut self) {
        let mut turns: Vec<_> = self.prefixes.values().map(|recent| recent.turn).collect();
        let (_, oldest_kept, _) = turns.select_nth_unstable(FORGOTTEN_AT_ONCE);
        let oldest_kept = *oldest_kept;
        self.prefixes.retain(|_, recent| recent.turn >= oldest_kept);
    }

    /// Sites stand elsewhere now, or are gone.
    pub fn move_sites(&mut self, moved: impl Fn(usize) -> Option<usize>) {
        self.prefixes.retain(|_, recent| {
            recent.visits.retain_mut(|visit| {
                let now = moved(visit.site);
                visit.site = now.unwrap_or_default();
                now.is_some()
            });
            !recent.visits.is_empty()
        });
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self, sites: usize) -> Result<(), String> {
        let is_sound = |recent: &Recent| {
            (1..=MOST_VISITS).contains(&recent.visits.len()) && recent.visits.iter().all(|visit| visit.site < sites)
        };
        if self.prefixes.len() <= MOST_PREFIXES && self.prefixes.values().all(is_sound) {
            Ok(())
        } else {
            Err(format!(
                "{} prefixes of recent prompts, or one at none of {sites} sites",
                self.prefixes.len()
            ))
        }
    }
}

impl Recent {
    /// A prompt that has it is sent to that site.
    fn on_used(&mut self, now: Mark, turn: u64, site: usize) {
        self.turn = turn;
        let before = self.visits.iter().position(|visit| visit.site == site);
        let whole = before.and_then(|before| self.visits.remove(before).whole);
        self.visits.truncate(MOST_VISITS - 1);
        let visit = Visit { site, used: now, whole };
        self.visits.insert(0, visit);
    }
}

/// So many prefixes are known: some 1,000 turns of conversations, or 300 documents. What is older has the prefix index.
const MOST_PREFIXES: usize = 2_048;
/// So many go when there are more.
const FORGOTTEN_AT_ONCE: usize = 128;
/// At so many sites each is known: what is used at more is hot, and known as such.
const MOST_VISITS: usize = 3;

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

    /// The site that has most of the prompt, how much, and whether that was all of another.
    fn find(recent: &RecentPrompts, keys: impl IntoIterator<Item = u64>) -> Option<(usize, u64, bool)> {
        let found = recent.find(&prompt(keys), |_, _| true);
        found.first().map(|found| (found.site, found.tokens.0, found.goes_on))
    }

    #[test]
    fn the_next_turn_goes_where_the_last_one_went() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(at(0), &prompt([1, 2]), 3);
        recent.on_sent(at(0), &prompt([1, 5]), 4);
        assert_eq!(find(&recent, [1, 2, 6]), Some((3, 200, true)));
        assert_eq!(find(&recent, [1, 5]), Some((4, 500, true)));
        assert_eq!(find(&recent, [1, 7]), Some((4, 100, false)), "neither has ended there");
        recent.on_sent(at(0), &[], 1);
        recent.on_sent(at(0), &prompt([1, 2, 6]), 1);
        let all = recent.find(&prompt([1, 2, 8]), |_, _| true);
        let all: Vec<_> = all.iter().map(|found| (found.site, found.tokens.0)).collect();
        assert_eq!(all, [(1, 200), (3, 200), (4, 100)], "another branch");
    }

    /// Prompts about one document, each with a question of its own behind it.
    #[test]
    fn what_prompts_share_is_found_to_near_its_end() {
        let mut recent = RecentPrompts::default();
        let about = |question: u64, length: u64| (1..=40).chain(1_000 * question..1_000 * question + length);
        recent.on_sent(at(0), &prompt(about(1, 5)), 5);
        let missed = "a part of the question's length is missed";
        assert_eq!(find(&recent, about(2, 3)), Some((5, 3_800, false)), "{missed}");
        recent.on_sent(at(0), &prompt(about(2, 3)), 5);
        assert_eq!(find(&recent, about(3, 4)), Some((5, 4_000, false)));
        assert_eq!(recent.prefixes.len(), 6 + 3, "only what is new is noted");
        recent.on_sent(at(0), &prompt(about(3, 4)), 6);
        let sites = recent.find(&prompt(about(4, 1)), |_, _| true);
        assert_eq!(sites.iter().map(|found| found.site).collect::<Vec<_>>(), [6, 5]);
    }

    #[test]
    fn what_was_used_least_recently_is_forgotten() {
        let mut recent = RecentPrompts::default();
        for key in 1..=4_000 {
            recent.on_sent(at(0), &prompt([key]), 0);
            recent.on_sent(at(0), &prompt([1, 5_000]), 0);
            assert_eq!(recent.check_invariants(1), Ok(()));
        }
        let is_known = |key| find(&recent, [key]).is_some();
        assert!((2_200..=4_000).all(is_known) && !(2..=1_900).any(is_known) && is_known(1));
    }

    #[test]
    fn sites_may_move_or_go() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(at(0), &prompt([1]), 0);
        recent.on_sent(at(0), &prompt([2]), 1);
        recent.move_sites(|site| (site == 1).then_some(5));
        assert_eq!((find(&recent, [1]), find(&recent, [2])), (None, Some((5, 200, true))));
    }

    #[test]
    fn what_a_site_has_no_more_is_looked_for_elsewhere() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(at(1), &prompt([1]), 0);
        recent.on_sent(at(2), &prompt([1, 2]), 1);
        let find = |recent: &RecentPrompts, since| {
            let found = recent.find(&prompt([1, 2, 3]), |_, used| used >= at(since).at);
            found.first().map(|found| (found.site, found.tokens.0))
        };
        assert_eq!(find(&recent, 2), Some((1, 200)));
        assert_eq!(find(&recent, 3), None);
        recent.on_sent(at(9), &prompt([1]), 0);
        assert_eq!(find(&recent, 3), Some((0, 100)));
    }

    #[test]
    fn a_prompt_that_was_sent_twice_goes_on_where_it_was_sent_last() {
        let mut recent = RecentPrompts::default();
        recent.on_sent(at(0), &prompt([1, 2]), 3);
        recent.on_sent(at(0), &prompt([1, 2]), 4);
        let found = recent.find(&prompt([1, 2, 5]), |_, _| true);
        let goes_on: Vec<_> = found.iter().map(|found| (found.site, found.goes_on)).collect();
        assert_eq!(goes_on, [(4, true), (3, false)], "the first may have failed");
    }

    #[test]
    fn a_prefix_is_known_at_a_few_sites() {
        let mut recent = RecentPrompts::default();
        for site in 0..6 {
            recent.on_sent(at(0), &prompt([1]), site);
            assert_eq!(recent.check_invariants(6), Ok(()));
        }
        recent.on_sent(at(0), &prompt([1]), 4);
        let sites = recent.find(&prompt([1]), |_, _| true);
        assert_eq!(sites.iter().map(|found| found.site).collect::<Vec<_>>(), [4, 5, 3]);
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
