//! A replica's name for everybody: what it is called in labels and rows.

use std::fmt;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::ids::{ClusterName, ReplicaName};

/// A replica of some cluster, by a hash of both names: the same everywhere. It does not tell the replica's URL,
/// and does not hide it from those who guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(u32);

impl ReplicaId {
    /// Of that replica. Of a thousand replicas two have the same once in ten thousand deployments.
    pub fn of(cluster: &ClusterName, replica: &ReplicaName) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(cluster.as_str().as_bytes());
        // Names are UTF-8, which this is not.
        hasher.write(&[0xFF]);
        hasher.write(replica.as_str().as_bytes());
        Self(hasher.finish() as u32)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_told_apart_and_keep_their_urls_to_themselves() {
        let id = |cluster: &str, replica: &str| ReplicaId::of(&cluster.into(), &replica.into()).to_string();
        assert_eq!(id("a", "http://b"), id("a", "http://b"));
        assert_ne!(id("a", "http://b"), id("a", "http://c"));
        assert_ne!(id("a", "http://b"), id("ah", "ttp://b"));
        assert_eq!(id("a", "http://b").len(), 8);
    }
}
