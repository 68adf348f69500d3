//! Prefixes that many prompts share, how often, and at which sites each is in memory: a sketch of the most frequent ones.
//! It is a stream summary by Space-Saving: a prefix that is not known takes the place of one of the least frequent, and
//! starts with the count that those had as the error that it may have. What a prefix has above its error is guaranteed.
//! Source: Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data streams", 2005.
//! Counts are halved now and then, so that they tell of recent requests.

use std::collections::BTreeMap;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::site_set::SiteSet;
use crate::cluster::hot::HotDigest;
use crate::cluster::prompt::Boundary;
use crate::ids::{PrefixKey, Tokens};

/// The most frequent prefixes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct SharedPrefixes {
    prefixes: BTreeMap<PrefixKey, Shared>,
    /// Requests with a prefix, halved as counts are.
    requests: u64,
    /// The most that one which has been forgotten counted; halved likewise.
    forgotten: u64,
    /// What tells the hot ones, and where they are warm, from others.
    hot: HotDigest,
    /// What tells the sites' names from others.
    names: u64,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Shared {
    /// Requests that had it, with the error.
    count: u64,
    /// By how much that may be too much.
    error: u64,
    /// Where it is in memory.
    warm: SiteSet,
    /// Whether edges are told of it.
    is_hot: bool,
}

impl Shared {
    /// Requests that had it for certain.
    fn guaranteed(&self) -> u64 {
        self.count - self.error
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
            for site in shared.warm.without(known).iter() {
                found(site, boundary.tokens);
            }
            known = known.with(shared.warm);
        }
    }

    /// The longest hot prefix of the prompt: how long it is, and where it is in memory.
    pub fn longest_hot(&self, boundaries: &[Boundary]) -> Option<(Tokens, SiteSet)> {
        if self.hot == HotDigest::default() {
            return None;
        }
        let mut longest_first = boundaries.iter().rev();
        longest_first.find_map(|boundary| {
            let shared = self.prefixes.get(&boundary.key).filter(|shared| shared.is_hot)?;
            Some((boundary.tokens, shared.warm))
        })
    }

    /// What tells the hot prefixes, and where they are warm, from others.
    pub fn hot_digest(&self) -> HotDigest {
        self.hot
    }

    /// The hot prefixes and where each is warm.
    pub fn hot(&self) -> impl Iterator<Item = (PrefixKey, SiteSet)> {
        let hot = self.prefixes.iter().filter(|(_, shared)| shared.is_hot);
        hot.map(|(key, shared)| (*key, shared.warm))
    }

    /// A prompt is sent to that site, one of so many. Its prefixes count from the shortest on as far as they are known,
    /// and a few further ones at growing distances: what no other prompt has takes few places.
    pub fn on_sent(&mut self, boundaries: &[Boundary], site: usize, sites: usize) {
        if boundaries.is_empty() {
            return;
        }
        self.requests += 1;
        let mut known = 0;
        for (place, boundary) in boundaries.iter().enumerate() {
            if let Some(shared) = self.prefixes.get_mut(&boundary.key) {
                shared.warm.insert(site);
                if known == place {
                    shared.count += 1;
                    known += 1;
                }
            }
        }
        for step in 0..FURTHER {
            if let Some(boundary) = boundaries.get(known + (1 << step) - 1) {
                self.count(boundary.key, site);
            }
        }
        if self.requests.is_multiple_of(REVIEWED_EVERY) {
            self.review(sites);
        }
    }

    fn count(&mut self, key: PrefixKey, site: usize) {
        if let Some(shared) = self.prefixes.get_mut(&key) {
            shared.count += 1;
            return;
        }
        if self.prefixes.len() >= MOST_PREFIXES {
            self.forget_least();
        }
        let shared = Shared {
            count: self.forgotten + 1,
            error: self.forgotten,
            warm: SiteSet::from_iter([site]),
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

    /// Halves counts when it is time, and says anew which prefixes are hot: those that have more of the requests than a
    /// replica's share and a quarter, until they have less than its share.
    fn review(&mut self, sites: usize) {
        if self.requests >= HALVED_AT {
            self.requests /= 2;
            self.forgotten /= 2;
            self.prefixes.retain(|_, shared| {
                shared.count /= 2;
                shared.error /= 2;
                shared.count > 0
            });
        }
        let requests = self.requests * 100;
        for shared in self.prefixes.values_mut() {
            let percent = if shared.is_hot { COOL_PERCENT } else { HOT_PERCENT };
            let has_share = shared.guaranteed() * sites as u64 * 100 > requests * percent / 100;
            shared.is_hot = has_share && shared.guaranteed() >= FEWEST && sites > 1;
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
        let mut hasher = SipHasher13::new_with_keys(self.names, 0);
        let mut is_any = false;
        for (key, warm) in self.hot() {
            is_any = true;
            hasher.write_u64(key.0);
            warm.iter().for_each(|site| hasher.write_u64(site as u64));
            hasher.write_u8(0);
        }
        if is_any {
            HotDigest(hasher.finish().max(1))
        } else {
            HotDigest::default()
        }
    }

    /// Nothing is in memory at that site any more.
    pub fn forget_site(&mut self, site: usize) {
        for shared in self.prefixes.values_mut() {
            shared.warm = shared.warm.without(SiteSet::from_iter([site]));
        }
        self.hot = self.digest();
    }

    /// Sites stand elsewhere now, or are gone; `names` tells theirs from others.
    pub fn move_sites(&mut self, names: u64, moved: impl Fn(usize) -> Option<usize>) {
        for shared in self.prefixes.values_mut() {
            shared.warm = shared.warm.iter().filter_map(&moved).collect();
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
/// So many go when there are more.
const FORGOTTEN_AT_ONCE: usize = 16;
/// So many boundaries behind the known ones count with each prompt, at distances of 1, 2, 4 and so on.
const FURTHER: usize = 4;
/// Counts tell of the latest one to two times so many requests, at half of the weight for the earlier ones.
const HALVED_AT: u64 = 1_024;
/// So often it is asked which prefixes are hot.
const REVIEWED_EVERY: u64 = 16;
/// A prefix is hot from this part of a replica's share of the requests on, in percent,
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

    fn prompt(keys: impl IntoIterator<Item = u64>) -> Vec<Boundary> {
        let boundary = |(place, key)| Boundary {
            key: PrefixKey(key),
            tokens: Tokens((place as u64 + 1) * 256),
        };
        keys.into_iter().enumerate().map(boundary).collect()
    }

    fn hot(shared: &SharedPrefixes) -> Vec<u64> {
        shared.hot().map(|(key, _)| key.0).collect()
    }

    #[test]
    fn what_more_share_than_one_replica_takes_is_hot_until_they_do_not() {
        let mut shared = SharedPrefixes::default();
        let mut unique = 1_000;
        let mut send = |shared: &mut SharedPrefixes, of_ten: u64, count: u64| {
            for request in 0..count {
                unique += 10;
                let head = if request % 10 < of_ten { 1 } else { unique };
                shared.on_sent(&prompt([head, unique + 1, unique + 2]), request as usize % 2, 8);
                assert_eq!(shared.check_invariants(), Ok(()));
            }
        };
        send(&mut shared, 1, 320);
        assert_eq!(hot(&shared), [0; 0], "a tenth is less than an eighth");
        send(&mut shared, 4, 480);
        assert_eq!(hot(&shared), [1]);
        assert_ne!(shared.hot_digest(), HotDigest::default());
        let (_, sites) = shared.longest_hot(&prompt([1, 7])).expect("it is hot");
        assert_eq!(sites.iter().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(shared.longest_hot(&prompt([7, 8])), None);
        send(&mut shared, 0, 4_000);
        assert_eq!((hot(&shared), shared.hot_digest()), (vec![], HotDigest::default()));
    }

    #[test]
    fn a_long_shared_prefix_is_known_to_its_end_in_spite_of_unique_tails() {
        let mut shared = SharedPrefixes::default();
        for request in 0..600 {
            let tail = (0..30).map(|part| 1_000 + request * 100 + part);
            shared.on_sent(&prompt((1..=12).chain(tail)), 0, 4);
        }
        assert_eq!(hot(&shared), (1..=12).collect::<Vec<_>>());
    }

    #[test]
    fn the_longest_prefix_at_each_site_is_told() {
        let mut shared = SharedPrefixes::default();
        shared.on_sent(&prompt([1, 2, 3]), 5, 8);
        shared.on_sent(&prompt([1, 2, 3]), 5, 8);
        shared.on_sent(&prompt([1, 9]), 6, 8);
        let mut found = Vec::new();
        shared.each_warm(&prompt([1, 2, 3, 4]), |site, tokens| found.push((site, tokens.0)));
        assert_eq!(found, [(5, 768), (6, 256)]);
        shared.move_sites(7, |site| (site == 5).then_some(0));
        found.clear();
        shared.each_warm(&prompt([1, 2, 3, 4]), |site, tokens| found.push((site, tokens.0)));
        assert_eq!(found, [(0, 768)]);
    }

    #[test]
    fn of_one_replica_nothing_is_hot() {
        let mut shared = SharedPrefixes::default();
        (0..100).for_each(|_| shared.on_sent(&prompt([1]), 0, 1));
        assert_eq!(hot(&shared), [0; 0]);
    }
}
