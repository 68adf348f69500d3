//! The requests that wait at a cluster, and in which order their turns come: by priority; among tenants of one priority by
//! deficit round robin over prompt tokens that have to be computed (`level`); among a tenant's sessions by turns; in a session
//! by deadline (`order`). So that no priority starves, the first of a lower one goes after every eight of higher ones.
//!
//! It decides the order, and who may begin to wait (`admission`). Whether there is room for whose turn it is, is none of its business.

mod admission;
mod level;
mod order;
mod pace;
mod shedding;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::level::{Level, Passed};
pub(super) use self::pace::Pace;
use self::shedding::Filling;
use crate::cluster::permit::PermitId;
use crate::cluster::scaling::Waiting;
use crate::cluster::waiting::QueueStatus;
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// Those that wait at one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct WaitingQueue {
    entries: BTreeMap<PermitId, Entry>,
    levels: BTreeMap<u8, Level>,
    /// When a request of a session that waits went last, as a number that grows.
    sessions: BTreeMap<u64, u64>,
    turn: u64,
    bytes: u64,
    /// Whose places went to others, until they have heard of it.
    evicted: BTreeMap<PermitId, Timestamp>,
    /// Nothing expires before this moment.
    sweep_at: Timestamp,
    pub(super) pace: Pace,
}

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub tenant: u64,
    pub session: u64,
    pub priority: u8,
    /// Prompt tokens that have to be computed.
    pub uncached: u64,
    pub kv_tokens: Tokens,
    pub bytes: u64,
    /// The share of the room that it may not use, in percent.
    pub headroom_percent: u8,
    /// Where it has failed already: room there is of no use to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<ReplicaName>,
    /// When it began to wait.
    pub since: Timestamp,
    pub deadline: Timestamp,
    /// When its asker asked last.
    pub heard: Timestamp,
    /// When it should have asked again: from then on its turn is for others, until it does.
    #[serde(default)]
    due: Timestamp,
    /// When it came, as a number that grows.
    joined: u64,
}

impl Entry {
    /// What its tenant pays for its turn, in tokens. What is all in memory takes a place as well.
    fn cost(&self) -> u64 {
        self.uncached.clamp(LEAST_COST, MOST_COST)
    }

    fn expires(&self) -> Timestamp {
        self.deadline.min(self.heard + UNHEARD_FOR)
    }

    /// Whether its asker, which was told when to ask again, has not: most likely it is gone.
    pub fn is_late(&self, now: Timestamp) -> bool {
        now > self.due
    }
}

/// What is known of a request that comes to wait, or asks again.
#[derive(Clone, Debug)]
pub(super) struct Comer {
    pub tenant: u64,
    pub session: u64,
    pub priority: u8,
    pub uncached: u64,
    pub kv_tokens: Tokens,
    pub bytes: u64,
    pub headroom_percent: u8,
    pub tried: Vec<ReplicaName>,
    pub waited: Duration,
    pub patience: Duration,
}

impl WaitingQueue {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether nothing of it is worth a record.
    pub fn is_blank(&self) -> bool {
        self.entries.is_empty() && self.evicted.is_empty() && self.pace == Pace::default()
    }

    pub fn get(&self, permit: PermitId) -> Option<&Entry> {
        self.entries.get(&permit)
    }

    /// A request waits from now on, or is heard of again.
    pub fn put(&mut self, now: Timestamp, permit: PermitId, comer: Comer) {
        let is_first = self.entries.is_empty() && self.evicted.is_empty();
        let turn = self.turn + 1;
        let entry = self.entries.entry(permit).or_insert_with(|| {
            self.turn = turn;
            let bytes = comer.bytes.min(MOST_BYTES);
            self.bytes += bytes;
            let priority = comer.priority.min(LAST_PRIORITY);
            self.levels.entry(priority).or_default().on_joined(comer.tenant);
            Entry {
                tenant: comer.tenant,
                session: comer.session,
                priority,
                uncached: comer.uncached,
                kv_tokens: comer.kv_tokens,
                bytes,
                headroom_percent: comer.headroom_percent,
                tried: Vec::new(),
                since: now - comer.waited,
                deadline: now + comer.patience,
                heard: now,
                due: Timestamp::NEVER,
                joined: turn,
            }
        });
        // Who asks again moves nothing back: the order would change with each question.
        (entry.heard, entry.deadline) = (now, entry.deadline.min(now + comer.patience));
        entry.due = Timestamp::NEVER;
        (entry.uncached, entry.kv_tokens) = (comer.uncached, comer.kv_tokens);
        entry.tried = comer.tried;
        let expires = entry.expires();
        self.sweep_at = if is_first { expires } else { self.sweep_at.min(expires) };
    }

    /// The asker of one is told to ask again within that time.
    pub fn on_told(&mut self, now: Timestamp, permit: PermitId, within: Duration) {
        if let Some(entry) = self.entries.get_mut(&permit) {
            entry.due = now + within;
        }
    }

    /// Nobody waits for it any more. Whether anybody did.
    pub fn leave(&mut self, permit: PermitId) -> bool {
        let left = self.entries.remove(&permit);
        if let Some(entry) = &left {
            self.forget(entry);
        }
        self.evicted.remove(&permit).is_some() || left.is_some()
    }

    /// One waits no longer: of a tenant, a session or a priority of which nobody else waits nothing is kept.
    fn forget(&mut self, left: &Entry) {
        self.bytes -= left.bytes;
        let alike = |other: &&Entry| other.priority == left.priority;
        let of_tenant = |other: &Entry| other.tenant == left.tenant;
        if !self.entries.values().filter(alike).any(of_tenant)
            && let Some(level) = self.levels.get_mut(&left.priority)
            && level.on_left(left.tenant)
        {
            self.levels.remove(&left.priority);
        }
        if !self.entries.values().any(|other| other.session == left.session) {
            self.sessions.remove(&left.session);
        }
    }

    /// Its turn has come, and it goes.
    pub fn go(&mut self, now: Timestamp, permit: PermitId) {
        let Some(entry) = self.entries.get(&permit) else { return };
        let (tenant, session, priority, cost) = (entry.tenant, entry.session, entry.priority, entry.cost());
        let headroom = entry.headroom_percent;
        for (level, at) in &mut self.levels {
            if *level > priority {
                at.on_passed(headroom);
            } else if *level == priority {
                at.passed = Passed::default();
                at.on_gone(tenant, cost);
            }
        }
        self.turn += 1;
        self.sessions.insert(session, self.turn);
        self.leave(permit);
        self.pace.on_turn(now, !self.entries.is_empty());
    }

    /// Whether its place went to another, which it has not heard of yet; it has now.
    pub fn take_evicted(&mut self, permit: PermitId) -> bool {
        self.evicted.remove(&permit).is_some()
    }

    /// Those whose places went to others, and who have not heard of it.
    pub fn evicted(&self) -> impl Iterator<Item = PermitId> {
        self.evicted.keys().copied()
    }

    /// Those whose time is over, and those whose askers have not been heard of for a while, wait no longer.
    pub fn sweep(&mut self, now: Timestamp) {
        if self.is_empty() && self.evicted.is_empty() || now < self.sweep_at {
            return;
        }
        self.evicted.retain(|_, until| now < *until);
        let expired = self.entries.iter().filter(|(_, entry)| now >= entry.expires());
        let expired: Vec<_> = expired.map(|(permit, _)| *permit).collect();
        for permit in expired {
            self.leave(permit);
        }
        let expiries = self.entries.values().map(Entry::expires);
        self.sweep_at = expiries.chain(self.evicted.values().copied()).min().unwrap_or_default();
    }

    fn requests(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    fn filling(&self) -> Filling {
        Filling {
            requests: self.requests(),
            bytes: self.bytes,
        }
    }

    /// What waits.
    pub fn status(&self, now: Timestamp) -> QueueStatus {
        let oldest = self.entries.values().map(|entry| now.since(entry.since)).max();
        let mut by_priority = [0; 3];
        for entry in self.entries.values() {
            if let Some(waiting) = by_priority.get_mut(usize::from(entry.priority)) {
                *waiting += 1;
            }
        }
        QueueStatus {
            requests: self.requests(),
            by_priority,
            bytes: self.bytes,
            oldest: oldest.unwrap_or_default(),
            expected: self.pace.until(self.requests() + 1),
        }
    }

    /// What those that wait ask for.
    pub fn demand(&self, now: Timestamp) -> Waiting {
        let mut waiting = Waiting::default();
        for entry in self.entries.values() {
            waiting.requests = waiting.requests.saturating_add(1);
            waiting.oldest = waiting.oldest.max(now.since(entry.since));
            waiting.uncached_tokens += Tokens(entry.uncached);
            waiting.tokens += entry.kv_tokens;
        }
        waiting
    }

    /// For how long somebody has waited since a turn came last; nothing where nobody waits.
    pub fn stalled_for(&self, now: Timestamp) -> Duration {
        let since = self.entries.values().map(|entry| entry.since).min();
        since.map_or(Duration::ZERO, |since| {
            now.since(self.pace.last().map_or(since, |last| last.max(since)))
        })
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        let sum: u64 = self.entries.values().map(|entry| entry.bytes).sum();
        if sum != self.bytes {
            return Err(format!("{sum} bytes wait, and {} are counted", self.bytes));
        }
        let pairs = self.levels.iter().flat_map(|(priority, level)| {
            let tenants = level.tenants();
            tenants.map(move |tenant| (*priority, *tenant))
        });
        let counted: BTreeSet<_> = pairs.collect();
        let waiting: BTreeSet<_> = self
            .entries
            .values()
            .map(|entry| (entry.priority, entry.tenant))
            .collect();
        if counted != waiting || self.sessions.len() > self.entries.len() || self.evicted.len() > MOST_EVICTED {
            return Err(format!("{waiting:?} wait, and {counted:?} are credited"));
        }
        let mut expiries = self.entries.values().map(Entry::expires);
        if expiries.any(|expires| expires < self.sweep_at) {
            return Err("an entry expires before the next sweep".to_owned());
        }
        Ok(())
    }
}

/// The least important priority.
const LAST_PRIORITY: u8 = 2;
/// An entry whose asker has not been heard of for so long is gone: it asks again every second at the least.
const UNHEARD_FOR: Duration = Duration::from_secs(3);
/// What a turn costs at least, in tokens: about what a place is worth while it decodes.
const LEAST_COST: u64 = 128;
/// What it costs at most.
const MOST_COST: u64 = 1 << 23;
/// More than any body has: sums stay far from the end of what can be counted.
const MOST_BYTES: u64 = 1 << 40;
/// So many that were evicted are remembered; others begin to wait anew.
const MOST_EVICTED: usize = 64;
