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
use crate::cluster::breaker::Breaker;
use crate::cluster::watched::{AnswersOf, WatchedAnswers, WatchedStatus, note_tenant, tenant_of};
use crate::ids::ReplicaName;
use crate::share::Share;
use crate::time::Timestamp;

/// What was found in the answers of all replicas in the present window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Watched {
    since: Timestamp,
    replicas: BTreeMap<ReplicaName, Record>,
    /// Whose answers were watched: the first two.
    #[serde(default)]
    tenants: Vec<u16>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    answers: u64,
    faulty: u64,
    /// The latest requests whose answers were faulty, by their digests.
    requests: VecDeque<u64>,
    /// To how many requests of each tenant.
    #[serde(default)]
    by_tenant: BTreeMap<u16, u64>,
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
        self.tenants.clear();
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
        let is_shared = self.tenants.len() > 1;
        let own = self.replicas.get(replica).map(|record| record.share(is_shared));
        let own = own.unwrap_or_default();
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

    /// Those that are left alone, in order.
    fn alone(&self, now: Timestamp) -> impl Iterator<Item = &ReplicaName> {
        let alone = self.replicas.iter().filter(move |(_, record)| now < record.alone_until);
        alone.map(|(name, _)| name)
    }
}

impl Record {
    /// Where the cluster serves several tenants, what speaks against it without more of one than of all others together.
    fn share(&self, is_shared: bool) -> Share {
        let of_one = self.by_tenant.values().copied().max().unwrap_or_default();
        let of_others = self.faulty.saturating_sub(of_one);
        let beyond = if is_shared { of_one.saturating_sub(of_others) } else { 0 };
        Share {
            hits: self.faulty.saturating_sub(beyond),
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
            let tenant = tenant_of(*request);
            if self.by_tenant.len() < MOST_TENANTS || self.by_tenant.contains_key(&tenant) {
                *self.by_tenant.entry(tenant).or_default() += 1;
            }
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
            let known = &mut self.watched.tenants;
            answers.tenants.iter().for_each(|tenant| note_tenant(known, *tenant));
            let record = self.watched.replicas.entry(replica.clone()).or_default();
            if record.add(answers) {
                self.judge(now, replica);
            }
        }
    }

    /// Leaves one alone that is surely worse than the others, as long as enough of them are left.
    fn judge(&mut self, now: Timestamp, replica: &ReplicaName) {
        let Some((replicas, open)) = self.open_besides(now, replica) else {
            return;
        };
        if open < least_open(replicas) || !self.watched.is_worse(replica, replicas) {
            return;
        }
        let until = now + LEFT_ALONE_FOR;
        self.replicas.with_breaker(replica, |breaker| breaker.open(until));
        if let Some(record) = self.watched.replicas.get_mut(replica) {
            record.alone_until = until;
        }
    }

    /// Lets those be asked again that are left alone where too few others take requests.
    pub(super) fn end_leaves(&mut self, now: Timestamp) {
        let alone: Vec<ReplicaName> = self.watched.alone(now).cloned().collect();
        for replica in alone {
            let known = self.open_besides(now, &replica);
            if known.is_some_and(|(replicas, open)| open < least_open(replicas)) {
                self.end_leave(&replica);
            }
        }
    }

    fn end_leave(&mut self, replica: &ReplicaName) {
        let Some(record) = self.watched.replicas.get_mut(replica) else {
            return;
        };
        let until = std::mem::take(&mut record.alone_until);
        // What it has failed in itself, it is left alone for as before.
        self.replicas.with_breaker(replica, |breaker| {
            if *breaker == (Breaker::Open { until }) {
                *breaker = Breaker::default();
            }
        });
    }

    /// How many replicas the cluster has, and how many of those take requests that are not that one.
    fn open_besides(&self, now: Timestamp, replica: &ReplicaName) -> Option<(usize, usize)> {
        let replicas = &self.in_force()?.policy.replicas;
        let others = replicas.iter().filter(|name| *name != replica);
        Some((replicas.len(), others.filter(|name| self.takes(now, name)).count()))
    }
}

/// How many of so many replicas must take requests while others are left alone; more than there are where there is one.
fn least_open(replicas: usize) -> usize {
    (replicas - (replicas / LEFT_ALONE_OF).max(1).min(replicas)).max(1)
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
/// Of how many tenants faulty answers are counted by tenant.
const MOST_TENANTS: usize = 64;

#[cfg(test)]
mod tests;
