//! Prefixes that so many prompts share that one replica cannot take them all, as a cluster's cell tells them to who asks
//! it, and the replica of a request by that alone: cell and edge choose it by the same function.

use serde::{Deserialize, Serialize};

use super::choice::{first_choice, first_of};
use super::prompt::Boundary;
use crate::ids::{PrefixKey, ReplicaName};

/// All hot prefixes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotSet {
    /// What tells it from others; that of the empty set is the default.
    pub digest: HotDigest,
    /// The prefixes.
    pub prefixes: Vec<HotPrefix>,
}

/// What tells one hot set from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HotDigest(pub u64);

/// A hot prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotPrefix {
    /// Which.
    pub key: PrefixKey,
    /// Where it is warm.
    pub warm: Vec<ReplicaName>,
}

impl HotSet {
    /// The prefix, if it is hot.
    pub fn get(&self, key: PrefixKey) -> Option<&HotPrefix> {
        self.prefixes.iter().find(|hot| hot.key == key)
    }

    /// The longest prefix of a prompt that is hot, where `boundaries` are the prompt's, the shortest first.
    pub fn longest(&self, boundaries: &[Boundary]) -> Option<&HotPrefix> {
        let is_any = !self.prefixes.is_empty();
        let mut longest_first = boundaries.iter().rev();
        is_any
            .then(|| longest_first.find_map(|boundary| self.get(boundary.key)))
            .flatten()
    }
}

/// The replica that a request goes to as long as nobody knows better, as an index into `replicas`: the first in the
/// affinity's order among those where the hot prefix that it shares is warm; without one, among all.
pub fn stateless_choice(affinity: u64, hot: Option<&HotPrefix>, replicas: &[ReplicaName]) -> Option<usize> {
    let is_warm = |index: &usize| hot.is_some_and(|hot| hot.warm.contains(&replicas[*index]));
    first_of(affinity, replicas, is_warm).or_else(|| first_choice(affinity, replicas))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Tokens;

    #[test]
    fn who_shares_a_hot_prefix_goes_where_that_is_warm() {
        let replicas: Vec<_> = ["http://a", "http://b", "http://c"].map(ReplicaName::from).into();
        let hot = |warm: &[&str]| HotPrefix {
            key: PrefixKey(1),
            warm: warm.iter().copied().map(ReplicaName::from).collect(),
        };
        let two = hot(&["http://a", "http://c", "http://gone"]);
        let chosen = |hot| (0..64).map(move |affinity| stateless_choice(affinity, hot, &replicas).expect("one"));
        let of_two: Vec<_> = chosen.clone()(Some(&two)).collect();
        assert!(of_two.contains(&0) && of_two.contains(&2) && !of_two.contains(&1));
        let of_all: Vec<_> = chosen.clone()(None).collect();
        let nowhere = hot(&["http://gone"]);
        assert_eq!(chosen.clone()(Some(&nowhere)).collect::<Vec<_>>(), of_all);
        let stay = of_two.iter().zip(&of_all).filter(|(_, all)| **all != 1);
        assert!(stay.into_iter().all(|(two, all)| two == all), "the order is the same");
        assert_eq!(stateless_choice(1, None, &[]), None);
    }

    #[test]
    fn the_longest_hot_prefix_counts() {
        let prefix = |key| HotPrefix {
            key: PrefixKey(key),
            warm: Vec::new(),
        };
        let boundary = |key| Boundary {
            key: PrefixKey(key),
            tokens: Tokens(key),
        };
        let set = HotSet {
            digest: HotDigest(1),
            prefixes: vec![prefix(2), prefix(1)],
        };
        let longest = |keys: &[u64]| {
            let boundaries: Vec<_> = keys.iter().copied().map(boundary).collect();
            set.longest(&boundaries).map(|hot| hot.key.0)
        };
        assert_eq!(longest(&[1, 2, 3]), Some(2));
        assert_eq!(longest(&[1, 3]), Some(1));
        assert_eq!(longest(&[3]), None);
    }
}
