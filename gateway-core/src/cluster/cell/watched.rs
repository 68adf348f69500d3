//! Which replicas are ill by what detectors found in their answers: one whose answers are faulty far more often than those of
//! its peers. Where all are equally bad it is the model, and none is; where there are no peers, nobody can tell.
//!
//! A replica is left alone where the share of its answers that is faulty is surely more than [`TIMES_WORSE`] times that of all
//! others together (`share.rs`). Whenever and however often that is asked, a replica that is no worse than so is left alone with
//! a probability of [`ALPHA`] at most in each window, over all replicas of the cluster together. Afterwards it is tried again; as
//! long as the window lasts, what it did before still counts, so that one more faulty answer is enough.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ClusterCell;
use crate::cluster::watched::{AnswersOf, WatchedAnswers, WatchedStatus};
use crate::ids::ReplicaName;
use crate::share::Share;
use crate::time::Timestamp;

/// What was found in the answers of all replicas in the present window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Watched {
    since: Timestamp,
    replicas: BTreeMap<ReplicaName, Record>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    answers: u64,
    faulty: u64,
    /// The latest requests whose answers were faulty, by their digests.
    requests: VecDeque<u64>,
    /// Until when it is left alone.
    alone_until: Timestamp,
}

impl Watched {
    /// Whether nothing is known.
    pub fn is_blank(&self) -> bool {
        self.replicas.is_empty()
    }

    /// The replicas in whose answers something was found, in order.
    pub fn names(&self) -> impl Iterator<Item = &ReplicaName> {
        let found = self.replicas.iter().filter(|(_, record)| record.faulty > 0);
        found.map(|(name, _)| name)
    }

    /// What is known of one.
    pub fn status(&self, now: Timestamp, replica: &ReplicaName) -> Option<WatchedStatus> {
        let record = self.replicas.get(replica)?;
        let left = record.alone_until.since(now);
        Some(WatchedStatus {
            answers: record.answers,
            faulty: record.faulty,
            left_alone_for: (!left.is_zero()).then_some(left),
        })
    }

    /// Begins anew where the window is over. Who is left alone stays so.
    fn sweep(&mut self, now: Timestamp) {
        if now.since(self.since) < WINDOW {
            return;
        }
        self.since = now;
        self.replicas.retain(|_, record| {
            let alone_until = record.alone_until;
            *record = Record {
                alone_until,
                ..Record::default()
            };
            now < alone_until
        });
    }

    /// Whether that one is surely worse than all others together, of so many.
    fn is_worse(&self, replica: &ReplicaName, replicas: usize) -> bool {
        let own = self.replicas.get(replica).map(Record::share).unwrap_or_default();
        let others = self.replicas.iter().filter(|(name, _)| *name != replica);
        let others = others.fold(Share::default(), |sum, (_, record)| Share {
            hits: sum.hits + record.faulty,
            trials: sum.trials + record.answers,
        });
        // Each of the two bounds may err by a half.
        let alpha = ALPHA / replicas.max(1) as f64 / 2.0;
        let bound = TIMES_WORSE * others.largest(alpha);
        bound < 1.0 && own.is_surely_more(bound, alpha)
    }

    fn alone(&self, now: Timestamp) -> usize {
        self.replicas.values().filter(|record| now < record.alone_until).count()
    }
}

impl Record {
    fn share(&self) -> Share {
        Share {
            hits: self.faulty,
            trials: self.answers,
        }
    }

    /// Counts answers; gives whether a faulty one is new among them.
    fn add(&mut self, answers: &AnswersOf) -> bool {
        self.answers = self.answers.saturating_add(answers.sound);
        let before = self.faulty;
        for request in &answers.faulty {
            if self.requests.contains(request) {
                continue;
            }
            self.requests.push_back(*request);
            (self.answers, self.faulty) = (self.answers.saturating_add(1), self.faulty.saturating_add(1));
        }
        while self.requests.len() > MOST_REQUESTS {
            self.requests.pop_front();
        }
        self.faulty > before
    }
}

impl ClusterCell {
    /// A gateway tells what detectors found. What it tells of replicas that are none of the cluster's is passed over.
    pub(super) fn on_watched(&mut self, now: Timestamp, watched: &WatchedAnswers) {
        self.watched.sweep(now);
        for (replica, answers) in watched.iter() {
            if self.sites.find(replica).is_none() {
                continue;
            }
            let record = self.watched.replicas.entry(replica.clone()).or_default();
            if record.add(answers) {
                self.judge(now, replica);
            }
        }
    }

    /// Leaves one alone that is surely worse than the others, as long as enough of them are left.
    fn judge(&mut self, now: Timestamp, replica: &ReplicaName) {
        let replicas = self.in_force().map_or(0, |known| known.policy.replicas.len());
        let most = (replicas / LEFT_ALONE_OF).max(1);
        if self.watched.alone(now) >= most || !self.watched.is_worse(replica, replicas) {
            return;
        }
        let until = now + LEFT_ALONE_FOR;
        self.replicas.with_breaker(replica, |breaker| breaker.open(until));
        if let Some(record) = self.watched.replicas.get_mut(replica) {
            record.alone_until = until;
        }
    }
}

/// A replica is worse whose answers are faulty so many times as often as its peers'.
const TIMES_WORSE: f64 = 3.0;
/// With this probability at most one is left alone in a window that is not: once in 70 days.
const ALPHA: f64 = 1e-4;
/// How long answers count: a replica that becomes ill is known by what it does then.
const WINDOW: Duration = Duration::from_mins(10);
/// How long one is left alone: what ails it does not pass in seconds, as an overload does.
const LEFT_ALONE_FOR: Duration = Duration::from_mins(1);
/// No more than one in so many, and one where there are fewer, is left alone at a time.
const LEFT_ALONE_OF: usize = 4;
/// How many requests are remembered of a replica, so that one that is asked again and again counts once.
const MOST_REQUESTS: usize = 64;

#[cfg(test)]
mod tests;
