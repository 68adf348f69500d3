//! Prefixes that many prompts share, how often, and at which sites each is in memory: a sketch of the most frequent ones.
//! It is a stream summary by Space-Saving: a prefix that is not known takes the place of one of the least frequent, and
//! starts with the count that those had as the error that it may have. What a prefix has above its error is guaranteed.
//! Source: Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data streams", 2005.
//! Counts are halved now and then, so that they tell of recent requests.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::prefix_map::PrefixMap;
use super::site_set::SiteSet;
use crate::cluster::hot::HotDigest;
use crate::cluster::prompt::Boundary;
use crate::ids::{PrefixKey, Tokens};

/// The most frequent prefixes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct SharedPrefixes {
    prefixes: PrefixMap<Shared>,
    /// Requests with a prefix, halved as counts are,
    requests: u64,
    /// and what they take in all, in tokens of kv_cache.
    tokens: u64,
    /// The most that one which has been forgotten took; halved likewise.
    forgotten: u64,
    /// What tells the hot ones, and where they are warm, from others.
    hot: HotDigest,
    /// What tells the sites' names from others.
    names: u64,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Shared {
    /// What requests took that had it, in tokens of kv_cache, with the error.
    count: u64,
    /// By how much that may be too much.
    error: u64,
    /// How many those were, since it is known.
    requests: u64,
    /// Where it was used since the site's turn began,
    warm: SiteSet,
    /// and in the turn before.
    warm_before: SiteSet,
    /// Whether edges are told of it.
    is_hot: bool,
}

/// A hot prefix of a prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct HotHere {
    /// How long it is.
    pub tokens: Tokens,
    /// Where it is in memory.
    pub warm: SiteSet,
    /// At how many sites it should be: as large a part of them as of all requests have it.
    pub wanted: usize,
}

impl Shared {
    /// What requests took that had it for certain.
    fn guaranteed(&self) -> u64 {
        self.count - self.error
    }

    /// Where it is in memory.
    fn warm(&self) -> SiteSet {
        self.warm.with(self.warm_before)
    }

    fn on_request(&mut self, tokens: u64) {
        self.count += tokens;
        self.requests += 1;
    }
}

impl SharedPrefixes {
    /// Tells of each site where a prefix of the prompt is in memory how long the longest one is there.
    pub fn each_warm(&self, boundaries: &[Boundary], mut found: impl FnMut(usize, Tokens)) {
        let mut known = SiteSet::default();
        for boundary in boundaries.iter().rev() {
            let Some(shared) = self.prefixes.get(&boundary.key) else {
                continue;
            };
            for site in shared.warm().without(known).iter() {
                found(site, boundary.tokens);
            }
            known = known.with(shared.warm());
        }
    }

    /// The longest hot prefix of the prompt, for one of so many sites.
    pub fn longest_hot(&self, boundaries: &[Boundary], sites: usize) -> Option<HotHere> {
        if self.hot == HotDigest::default() {
            return None;
        }
        let mut longest_first = boundaries.iter().rev();
        longest_first.find_map(|boundary| {
            let shared = self.prefixes.get(&boundary.key).filter(|shared| shared.is_hot)?;
            let wanted = (shared.requests * sites as u64).div_ceil(self.requests.max(1));
            Some(HotHere {
                tokens: boundary.tokens,
                warm: shared.warm(),
                wanted: usize::try_from(wanted).unwrap_or(sites).min(sites),
            })
        })
    }

    /// What tells the hot prefixes, and where they are warm, from others.
    pub fn hot_digest(&self) -> HotDigest {
        self.hot
    }

    /// The hot prefixes and where each is warm, in the order of their keys.
    pub fn hot(&self) -> Vec<(PrefixKey, SiteSet)> {
        let hot = self.prefixes.iter().filter(|(_, shared)| shared.is_hot);
        let mut hot: Vec<_> = hot.map(|(key, shared)| (*key, shared.warm())).collect();
        hot.sort_unstable_by_key(|(key, _)| *key);
        hot
    }

    /// A prompt is sent to that site, one of so many, and takes so many tokens there with its answer. Its prefixes count
    /// from the shortest on as far as they are known, and a few further ones at growing distances: what no other prompt has
    /// takes few places.
    pub fn on_sent(&mut self, boundaries: &[Boundary], tokens: Tokens, site: usize, sites: usize) {
        if boundaries.is_empty() {
            return;
        }
        let tokens = tokens.0.clamp(1, MOST_TOKENS);
        self.requests += 1;
        self.tokens += tokens;
        let mut known = 0;
        for (place, boundary) in boundaries.iter().enumerate() {
            if let Some(shared) = self.prefixes.get_mut(&boundary.key) {
                shared.warm.insert(site);
                if known == place {
                    shared.on_request(tokens);
                    known += 1;
                }
            }
        }
        for step in 0..FURTHER {
            if let Some(boundary) = boundaries.get(known + (1 << step) - 1) {
                self.count(boundary.key, tokens, site);
            }
        }
        if self.requests.is_multiple_of(REVIEWED_EVERY) {
            self.review(sites);
        }
    }

    fn count(&mut self, key: PrefixKey, tokens: u64, site: usize) {
        if let Some(shared) = self.prefixes.get_mut(&key) {
            shared.on_request(tokens);
            return;
        }
        if self.prefixes.len() >= MOST_PREFIXES {
            self.forget_least();
        }
        let shared = Shared {
            count: self.forgotten + tokens,
            error: self.forgotten,
            requests: 1,
            warm: SiteSet::from_iter([site]),
            warm_before: SiteSet::default(),
            is_hot: false,
        };
        self.prefixes.insert(key, shared);
    }

    /// The least frequent ones make room, several at a time, so that few requests have to look for them.
    fn forget_least(&mut self) {
        let mut counts: Vec<_> = self.prefixes.iter().map(|(key, shared)| (shared.count, *key)).collect();
        let (_, most, _) = counts.select_nth_unstable(FORGOTTEN_AT_ONCE - 1);
        let most = *most;
        self.prefixes.retain(|key, shared| (shared.count, *key) > most);
        self.forgotten = most.0;
    }

    /// Halves counts when it is time, and says anew which prefixes are hot: those whose requests are more than a replica's
    /// share and a quarter, or take more than that, until they are less than its share. Many small requests of others make
    /// the one share small, and a few large ones the other.
    fn review(&mut self, sites: usize) {
        if self.requests >= HALVED_AT {
            self.requests /= 2;
            self.tokens /= 2;
            self.forgotten /= 2;
            self.prefixes.retain(|_, shared| {
                shared.count /= 2;
                shared.error /= 2;
                shared.requests /= 2;
                shared.count > 0
            });
        }
        let (requests, tokens) = (self.requests, self.tokens);
        for shared in self.prefixes.values_mut() {
            let percent = if shared.is_hot { COOL_PERCENT } else { HOT_PERCENT };
            let has_share = |part: u64, all: u64| part * sites as u64 * 100 > all * percent;
            let is_much = has_share(shared.requests, requests) || has_share(shared.guaranteed(), tokens);
            shared.is_hot = is_much && shared.requests >= FEWEST && sites > 1;
        }
        self.keep_hottest();
        self.hot = self.digest();
    }

    fn keep_hottest(&mut self) {
        let mut counts: Vec<_> = self
            .prefixes
            .values()
            .filter(|shared| shared.is_hot)
            .map(|shared| shared.count)
            .collect();
        if counts.len() > MOST_HOT {
            counts.sort_unstable();
            let most_too_few = counts[counts.len() - MOST_HOT - 1];
            for shared in self.prefixes.values_mut() {
                shared.is_hot &= shared.count > most_too_few;
            }
        }
    }

    fn digest(&self) -> HotDigest {
        let hot = self.hot();
        if hot.is_empty() {
            return HotDigest::default();
        }
        let mut hasher = SipHasher13::new_with_keys(self.names, 0);
        for (key, warm) in hot {
            hasher.write_u64(key.0);
            warm.iter().for_each(|site| hasher.write_u64(site as u64));
            hasher.write_u8(0);
        }
        HotDigest(hasher.finish().max(1))
    }

    /// Nothing is in memory at that site any more.
    pub fn forget_site(&mut self, site: usize) {
        for shared in self.prefixes.values_mut() {
            let site = SiteSet::from_iter([site]);
            (shared.warm, shared.warm_before) = (shared.warm.without(site), shared.warm_before.without(site));
        }
        self.hot = self.digest();
    }

    /// A site's turn has ended, and another one begins: what was not used in the one that ended is gone.
    pub fn on_turned(&mut self, site: usize) {
        for shared in self.prefixes.values_mut() {
            let site = SiteSet::from_iter([site]);
            let was_used = shared.warm.and(site);
            shared.warm = shared.warm.without(site);
            shared.warm_before = shared.warm_before.without(site).with(was_used);
        }
        self.hot = self.digest();
    }

    /// A prompt has been computed at that site.
    pub fn on_computed(&mut self, boundaries: &[Boundary], site: usize) {
        for boundary in boundaries {
            if let Some(shared) = self.prefixes.get_mut(&boundary.key) {
                shared.warm.insert(site);
            }
        }
        self.hot = self.digest();
    }

    /// Sites stand elsewhere now, or are gone; `names` tells theirs from others.
    pub fn move_sites(&mut self, names: u64, moved: impl Fn(usize) -> Option<usize>) {
        for shared in self.prefixes.values_mut() {
            let moved = |sites: SiteSet| sites.iter().filter_map(&moved).collect();
            (shared.warm, shared.warm_before) = (moved(shared.warm), moved(shared.warm_before));
        }
        self.names = names;
        self.hot = self.digest();
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        let is_sound = |shared: &Shared| shared.error <= shared.count;
        if self.prefixes.len() > MOST_PREFIXES || !self.prefixes.values().all(is_sound) {
            return Err(format!(
                "{} shared prefixes, or a count below its error",
                self.prefixes.len()
            ));
        }
        Ok(())
    }
}

/// So many prefixes are known: what has more than a 256th of the requests is among them.
const MOST_PREFIXES: usize = 256;
/// More than any request takes: sums of them stay far from the end of what can be counted.
const MOST_TOKENS: u64 = 1 << 24;
/// So many go when there are more.
const FORGOTTEN_AT_ONCE: usize = 16;
/// So many boundaries behind the known ones count with each prompt, at distances of 1, 2, 4 and so on.
const FURTHER: usize = 4;
/// Counts tell of the latest one to two times so many requests, at half of the weight for the earlier ones.
const HALVED_AT: u64 = 1_024;
/// So often it is asked which prefixes are hot.
const REVIEWED_EVERY: u64 = 16;
/// A prefix is hot from this part of a replica's share on, in percent,
const HOT_PERCENT: u64 = 125;
/// and until this.
const COOL_PERCENT: u64 = 100;
/// As few requests may have it by chance.
const FEWEST: u64 = 16;
/// No more hot prefixes are told to edges: that is a message of a few KB.
const MOST_HOT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Tokens = Tokens(1_000);

    fn prompt(keys: impl IntoIterator<Item = u64>) -> Vec<Boundary> {
        let boundary = |(place, key)| Boundary {
            key: PrefixKey(key),
            tokens: Tokens((place as u64 + 1) * 256),
        };
        keys.into_iter().enumerate().map(boundary).collect()
    }

    fn hot(shared: &SharedPrefixes) -> Vec<u64> {
        shared.hot().into_iter().map(|(key, _)| key.0).collect()
    }

    #[test]
    fn what_more_share_than_one_replica_takes_is_hot_until_they_do_not() {
        let mut shared = SharedPrefixes::default();
        let mut unique = 1_000;
        let mut send = |shared: &mut SharedPrefixes, of_ten: u64, count: u64| {
            for request in 0..count {
                unique += 10;
                let head = if request % 10 < of_ten { 1 } else { unique };
                shared.on_sent(&prompt([head, unique + 1, unique + 2]), ONE, request as usize % 2, 8);
                assert_eq!(shared.check_invariants(), Ok(()));
            }
        };
        send(&mut shared, 1, 320);
        assert_eq!(hot(&shared), [0; 0], "a tenth is less than an eighth");
        send(&mut shared, 4, 480);
        assert_eq!(hot(&shared), [1]);
        assert_ne!(shared.hot_digest(), HotDigest::default());
        let longest = shared.longest_hot(&prompt([1, 7]), 8).expect("it is hot");
        assert_eq!(
            (longest.warm.iter().collect::<Vec<_>>(), longest.wanted),
            (vec![0, 1], 3)
        );
        assert!(shared.longest_hot(&prompt([7, 8]), 8).is_none());
        send(&mut shared, 0, 4_000);
        assert_eq!((hot(&shared), shared.hot_digest()), (vec![], HotDigest::default()));
    }

    #[test]
    fn a_long_shared_prefix_is_known_to_its_end_in_spite_of_unique_tails() {
        let mut shared = SharedPrefixes::default();
        for request in 0..600 {
            let tail = (0..30).map(|part| 1_000 + request * 100 + part);
            shared.on_sent(&prompt((1..=12).chain(tail)), ONE, 0, 4);
        }
        assert_eq!(hot(&shared), (1..=12).collect::<Vec<_>>());
    }

    #[test]
    fn the_longest_prefix_at_each_site_is_told() {
        let mut shared = SharedPrefixes::default();
        shared.on_sent(&prompt([1, 2, 3]), ONE, 5, 8);
        shared.on_sent(&prompt([1, 2, 3]), ONE, 5, 8);
        shared.on_sent(&prompt([1, 9]), ONE, 6, 8);
        let mut found = Vec::new();
        shared.each_warm(&prompt([1, 2, 3, 4]), |site, tokens| found.push((site, tokens.0)));
        assert_eq!(found, [(5, 768), (6, 256)]);
        shared.move_sites(7, |site| (site == 5).then_some(0));
        found.clear();
        shared.each_warm(&prompt([1, 2, 3, 4]), |site, tokens| found.push((site, tokens.0)));
        assert_eq!(found, [(0, 768)]);
    }

    #[test]
    fn neither_many_small_requests_nor_a_few_large_ones_hide_what_is_hot() {
        for others in [1, 100_000] {
            let mut shared = SharedPrefixes::default();
            for request in 0..320 {
                // Three in ten are less than a third of the requests.
                let (key, tokens) = if request % 10 < 3 {
                    (1, 8_000)
                } else {
                    (1_000 + request, 200 * others)
                };
                shared.on_sent(
                    &prompt([key]),
                    Tokens(tokens),
                    request as usize % 3,
                    if others == 1 { 3 } else { 8 },
                );
                assert_eq!(shared.check_invariants(), Ok(()));
            }
            assert_eq!(hot(&shared), [1], "{others}");
        }
    }

    #[test]
    fn what_is_not_used_for_a_turn_is_gone_from_a_site() {
        let mut shared = SharedPrefixes::default();
        shared.on_sent(&prompt([1]), ONE, 5, 8);
        shared.on_sent(&prompt([2]), ONE, 5, 8);
        shared.on_sent(&prompt([1]), ONE, 6, 8);
        let warm = |shared: &SharedPrefixes, key| {
            let mut sites = Vec::new();
            shared.each_warm(&prompt([key]), |site, _| sites.push(site));
            sites
        };
        shared.on_turned(5);
        shared.on_sent(&prompt([1]), ONE, 5, 8);
        assert_eq!((warm(&shared, 1), warm(&shared, 2)), (vec![5, 6], vec![5]));
        shared.on_turned(5);
        assert_eq!((warm(&shared, 1), warm(&shared, 2)), (vec![5, 6], vec![]));
        shared.forget_site(5);
        assert_eq!(warm(&shared, 1), [6]);
        shared.on_computed(&prompt([1, 9]), 5);
        assert_eq!(warm(&shared, 1), [5, 6]);
    }

    #[test]
    fn of_one_replica_nothing_is_hot() {
        let mut shared = SharedPrefixes::default();
        (0..100).for_each(|_| shared.on_sent(&prompt([1]), ONE, 0, 1));
        assert_eq!(hot(&shared), [0; 0]);
    }
}
