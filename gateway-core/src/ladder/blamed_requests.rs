//! The requests at which engines fail, as one process remembers them, so that a retry does not try again. A cluster at
//! which one request after the other seems to be at fault, and nothing is served in between, is in doubt: there nothing
//! is put on requests any more, and what was is forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::attempt_error::AttemptError;
use crate::ids::ClusterName;
use crate::time::Timestamp;

/// By what a request is known again: a hash that clients cannot foresee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestDigest(pub u64);

/// What is remembered.
#[derive(Debug, Default)]
pub struct BlamedRequests {
    /// Oldest first.
    requests: VecDeque<Remembered>,
    /// How many requests were found at fault at a cluster since it last served one.
    in_a_row: BTreeMap<ClusterName, u32>,
}

#[derive(Debug)]
struct Remembered {
    digest: RequestDigest,
    cluster: ClusterName,
    error: AttemptError,
    until: Timestamp,
}

impl BlamedRequests {
    /// Whether nothing is remembered any more: requests need not be hashed then.
    pub fn is_empty(&self, now: Timestamp) -> bool {
        self.requests.back().is_none_or(|newest| now >= newest.until)
    }

    /// Why that request need not be tried.
    pub fn get(&self, now: Timestamp, digest: RequestDigest) -> Option<&AttemptError> {
        let known = self.requests.iter().find(|known| known.digest == digest)?;
        (now < known.until).then_some(&known.error)
    }

    /// Engines failed alike at a request, of which `cluster` asked the last. Gives whether that is put on the request;
    /// not where the cluster is in doubt.
    pub fn blame(&mut self, now: Timestamp, digest: RequestDigest, cluster: &ClusterName, error: AttemptError) -> bool {
        let in_a_row = self.in_a_row.entry(cluster.clone()).or_default();
        *in_a_row = in_a_row.saturating_add(1);
        if *in_a_row > MOST_IN_A_ROW {
            self.requests.retain(|known| known.cluster != *cluster);
            return false;
        }
        self.requests
            .retain(|known| known.digest != digest && now < known.until);
        if self.requests.len() == MOST_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(Remembered {
            digest,
            cluster: cluster.clone(),
            error,
            until: now + REMEMBERED_FOR,
        });
        true
    }

    /// The cluster serves a request.
    pub fn on_served(&mut self, cluster: &ClusterName) {
        self.in_a_row.remove(cluster);
    }
}

/// So many requests are remembered: with 1,000 characters of an engine's words each, some hundred kilobytes.
const MOST_REQUESTS: usize = 256;
/// Longer than SDKs and agents go on retrying, and short enough for an engine that is mended meanwhile.
const REMEMBERED_FOR: Duration = Duration::from_secs(5 * 60);
/// So many wrong requests and no right one between them are more likely a cluster that fails at everything.
const MOST_IN_A_ROW: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000 * seconds)
    }

    fn blame(memory: &mut BlamedRequests, now: Timestamp, digest: u64, cluster: &str) -> bool {
        let error = AttemptError::Blamed {
            status: 500,
            words: digest.to_string(),
        };
        memory.blame(now, RequestDigest(digest), &cluster.into(), error)
    }

    #[test]
    fn a_request_is_remembered_for_a_while() {
        let mut memory = BlamedRequests::default();
        assert!(memory.is_empty(at(0)) && blame(&mut memory, at(0), 7, "near"));
        assert!(
            matches!(memory.get(at(299), RequestDigest(7)), Some(AttemptError::Blamed { words, .. }) if words == "7")
        );
        assert_eq!(memory.get(at(299), RequestDigest(8)), None);
        assert_eq!(memory.get(at(300), RequestDigest(7)), None);
        assert_eq!([299, 300].map(|seconds| memory.is_empty(at(seconds))), [false, true]);
    }

    #[test]
    fn the_oldest_is_forgotten_for_the_newest() {
        let mut memory = BlamedRequests::default();
        for digest in 0..=MOST_REQUESTS as u64 {
            assert!(blame(&mut memory, at(0), digest, "near"));
            memory.on_served(&"near".into());
        }
        assert_eq!(memory.requests.len(), MOST_REQUESTS);
        assert_eq!(memory.get(at(1), RequestDigest(0)), None);
        assert!(memory.get(at(1), RequestDigest(1)).is_some());
    }

    #[test]
    fn a_cluster_that_fails_at_everything_is_in_doubt_until_it_serves() {
        let mut memory = BlamedRequests::default();
        assert!(blame(&mut memory, at(0), 1_000, "far"));
        for digest in 0..MOST_IN_A_ROW.into() {
            assert!(blame(&mut memory, at(0), digest, "near"), "{digest}");
        }
        assert!(!blame(&mut memory, at(0), 99, "near"));
        assert_eq!(memory.get(at(0), RequestDigest(3)), None, "it may have been right");
        assert!(memory.get(at(0), RequestDigest(1_000)).is_some(), "another cluster's");
        memory.on_served(&"near".into());
        assert!(blame(&mut memory, at(0), 99, "near"));
    }
}
