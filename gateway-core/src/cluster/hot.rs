//! Prefixes that so many prompts share that one replica cannot take them all, as a cluster's cell tells them to whoever
//! asks it.

use serde::{Deserialize, Serialize};

use super::prompt::Boundary;
use crate::ids::{PrefixKey, ReplicaName, Tokens};

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

    /// The longest prefix of a prompt that is hot, and how long it is, where `boundaries` are the prompt's, the shortest
    /// first.
    pub fn longest(&self, boundaries: &[Boundary]) -> Option<(&HotPrefix, Tokens)> {
        let mut longest_first = boundaries.iter().rev();
        longest_first.find_map(|boundary| Some((self.get(boundary.key)?, boundary.tokens)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            set.longest(&boundaries).map(|(hot, tokens)| (hot.key.0, tokens.0))
        };
        assert_eq!(longest(&[1, 2, 3]), Some((2, 2)));
        assert_eq!(longest(&[1, 3]), Some((1, 1)));
        assert_eq!(longest(&[3]), None);
    }
}
