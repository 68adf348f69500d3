//! What detectors found in the answers of a cluster's replicas, as gateways tell its cell, and as that tells others.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::ReplicaName;

/// Answers that were watched since the cell was told last, by the replicas that gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WatchedAnswers(BTreeMap<ReplicaName, AnswersOf>);

/// The same of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswersOf {
    /// In which nothing was found.
    pub sound: u64,
    /// For each in which something was, the digest of its request: of one that is asked again and again only the first
    /// counts.
    pub faulty: Vec<u64>,
}

/// What is known of one replica's answers, for whoever reads of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedStatus {
    /// Answers that were watched in the present window.
    pub answers: u64,
    /// Those of them in which something was found.
    pub faulty: u64,
    /// How long it is left alone because of that, where it is.
    #[serde(default)]
    pub left_alone_for: Option<Duration>,
}

impl WatchedAnswers {
    /// A replica has given an answer; in one in which something was found, to the request of that digest.
    pub fn on_answer(&mut self, replica: &ReplicaName, faulty: Option<u64>) {
        let answers = self.0.entry(replica.clone()).or_default();
        match faulty {
            Some(request) if answers.faulty.len() < MOST_TOLD => answers.faulty.push(request),
            Some(_) => {}
            None => answers.sound = answers.sound.saturating_add(1),
        }
    }

    /// Each replica with its answers.
    pub fn iter(&self) -> impl Iterator<Item = (&ReplicaName, &AnswersOf)> {
        self.0.iter()
    }
}

/// More faulty answers of one replica between two reports say no more than these.
const MOST_TOLD: usize = 64;
