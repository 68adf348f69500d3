//! The permits that one edge location keeps of a cluster. A request whose replica has a slot here takes it, and
//! no message has to go to the cluster's cell and back before it is dispatched; when it ends, the slot is there for
//! the next. The cell counts a slot from the moment that it is lent to the moment that it is given back.
//!
//! What bounds it: the cell lends only where there is plenty of room, and has to say so again every [`LENT_FOR`]. A slot
//! that nothing needed for that long goes back. After a failure all idle slots of the replica go back, and the cell
//! decides about each request until it lends again.

mod permits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use self::permits::{CachedPermit, ReplicaPermits};
use super::hot::HotSet;
use super::message::Release;
use super::permit::{Capacity, HeldPermit, Outcome, PermitId};
use super::policy::{ClusterPolicy, PolicyDigest, PolicyRef};
use super::scaling::Served;
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// What is kept of one cluster.
#[derive(Debug, Default)]
pub struct PermitCache {
    replicas: BTreeMap<ReplicaName, ReplicaPermits>,
    /// The policy that the cell knows by its digest, as it said last.
    known_policy: Option<PolicyDigest>,
    /// The cluster's hot prefixes, as the cell told them last.
    hot: Arc<HotSet>,
    /// What was seen here that the cell is to hear.
    pub served: Served,
    /// When idle slots were last looked at.
    looked: Timestamp,
    /// Until when somebody looks after them.
    watched_until: Timestamp,
}

/// A slot that a request has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedGrant {
    /// Under which permit.
    pub permit: PermitId,
    /// Whether the caller is to ask the cell to go on lending.
    pub is_to_extend: bool,
}

impl PermitCache {
    /// Takes a slot at a replica, if one is here for a request that takes so much. `headroom_percent` of the replica's room
    /// is not for this request: more than half of it, and what is lent is not either.
    pub fn take(
        &mut self,
        now: Timestamp,
        replica: &ReplicaName,
        kv_tokens: Tokens,
        headroom_percent: u8,
    ) -> Option<CachedGrant> {
        if headroom_percent > MOST_HEADROOM {
            return None;
        }
        let one = Capacity::of_one(kv_tokens);
        let at_replica = self.replicas.get_mut(replica)?;
        let cached = at_replica.permits.iter_mut().find(|cached| cached.has(now, one))?;
        cached.used = cached.used + one;
        let permit = cached.id;
        let is_time = cached.lent_until.since(now) <= LENT_FOR / 2;
        at_replica.on_begin();
        let is_to_extend = is_time && at_replica.asked.is_none_or(|asked| now.since(asked) >= LENT_FOR);
        if is_to_extend {
            at_replica.asked = Some(now);
        }
        Some(CachedGrant { permit, is_to_extend })
    }

    /// Whether [`take`](Self::take) would find a slot.
    pub fn has(&self, now: Timestamp, replica: &ReplicaName, kv_tokens: Tokens, headroom_percent: u8) -> bool {
        let one = Capacity::of_one(kv_tokens);
        let is_here = |at_replica: &ReplicaPermits| at_replica.permits.iter().any(|cached| cached.has(now, one));
        headroom_percent <= MOST_HEADROOM && self.replicas.get(replica).is_some_and(is_here)
    }

    /// What was seen here since this was last asked, if anything: the cell is told.
    pub fn take_served(&mut self) -> Option<Served> {
        Some(std::mem::take(&mut self.served)).filter(|served| !served.is_empty())
    }

    /// How a command names a policy: by its digest where the cell has said that it knows it.
    pub fn name_policy(&self, digest: PolicyDigest, policy: &Arc<ClusterPolicy>) -> PolicyRef {
        if self.known_policy == Some(digest) {
            PolicyRef::Digest(digest)
        } else {
            PolicyRef::Whole(Arc::clone(policy))
        }
    }

    /// The cell has said which policy it knows; `None` where it has said that it knows none, or nothing.
    pub fn on_policy(&mut self, known: Option<PolicyDigest>) {
        self.known_policy = known;
    }

    /// The cluster's hot prefixes, as far as they are known here.
    pub fn hot_set(&self) -> Arc<HotSet> {
        Arc::clone(&self.hot)
    }

    /// The cell has told the cluster's hot prefixes.
    pub fn on_hot(&mut self, hot: HotSet) {
        self.hot = Arc::new(hot);
    }

    /// How many slots a request that has to ask the cell asks for besides its own: an eighth of what runs where it is
    /// expected to go, so that growing takes few questions.
    pub fn spare(&self, replica: &ReplicaName) -> u32 {
        self.replicas
            .get(replica)
            .map_or(0, |at_replica| at_replica.running() / 8)
    }

    /// A request got a permit that may be kept, for which the cell was asked at `now`, and has `one` of it. Without renewal it
    /// holds for `ttl`.
    pub fn on_granted(&mut self, now: Timestamp, held: &HeldPermit, one: Capacity, ttl: Duration) {
        let at_replica = self.replicas.entry(held.replica.clone()).or_default();
        at_replica.permits.push(CachedPermit {
            id: held.permit,
            capacity: held.capacity,
            used: one,
            lent_until: now + lent_for(ttl),
            renewed: now,
        });
        at_replica.on_begin();
    }

    /// A request under such a permit has ended; gives what the cell is to hear.
    pub fn on_end(
        &mut self,
        now: Timestamp,
        replica: &ReplicaName,
        permit: PermitId,
        one: Capacity,
        outcome: Outcome,
    ) -> Vec<Release> {
        let mut returned = Vec::new();
        let Some(at_replica) = self.replicas.get_mut(replica) else {
            return returned;
        };
        let Some(cached) = at_replica.permits.iter_mut().find(|cached| cached.id == permit) else {
            return returned;
        };
        cached.used = cached.used.without(one);
        match outcome {
            Outcome::Failed => at_replica.close(),
            Outcome::Served => at_replica.has_served = true,
            Outcome::Unknown => {}
        }
        at_replica.give_back_beyond(now, u32::MAX, replica, &mut returned);
        if outcome == Outcome::Failed
            && let Some(news) = returned.iter_mut().find(|release| release.permit == permit)
        {
            // Its own slot, at least, went back with the others.
            news.outcome = outcome;
            news.served_before = std::mem::take(&mut at_replica.has_served);
        }
        self.forget_empty();
        returned
    }

    /// A request under such a permit had failed when it ended, as is known only now; gives what the cell is to hear.
    pub fn on_failed_before(&mut self, now: Timestamp, replica: &ReplicaName, permit: PermitId) -> Vec<Release> {
        let mut returned = Vec::new();
        let mut has_served = false;
        if let Some(at_replica) = self.replicas.get_mut(replica) {
            at_replica.close();
            at_replica.give_back_beyond(now, u32::MAX, replica, &mut returned);
            has_served = std::mem::take(&mut at_replica.has_served);
        }
        self.forget_empty();
        returned.push(Release::late(permit, replica.clone(), has_served));
        returned
    }

    /// The cell has said whether it goes on lending; gives what it is to hear.
    pub fn on_extended(&mut self, now: Timestamp, replica: &ReplicaName, lends: bool, ttl: Duration) -> Vec<Release> {
        let mut returned = Vec::new();
        let Some(at_replica) = self.replicas.get_mut(replica) else {
            return returned;
        };
        // The cell may have changed its mind since it was asked, but no sooner.
        let asked = at_replica.asked.take().unwrap_or(now);
        if lends {
            for cached in at_replica.permits.iter_mut().filter(|cached| cached.lent_until > now) {
                (cached.lent_until, cached.renewed) = (asked + lent_for(ttl), now);
            }
        } else {
            at_replica.close();
            at_replica.give_back_beyond(now, 0, replica, &mut returned);
            self.forget_empty();
        }
        returned
    }

    /// All permits at a replica, to ask the cell about.
    pub fn held_at(&self, replica: &ReplicaName) -> Vec<HeldPermit> {
        let permits = self
            .replicas
            .get(replica)
            .into_iter()
            .flat_map(|at_replica| &at_replica.permits);
        permits.map(|cached| cached.held(replica)).collect()
    }

    /// What no request uses of the permits at a replica.
    pub fn idle_at(&self, replica: &ReplicaName) -> Capacity {
        let permits = self.replicas.get(replica).map_or(&[][..], |held| &held.permits);
        permits
            .iter()
            .fold(Capacity::default(), |sum, cached| sum + cached.idle())
    }

    /// The permits that are to be renewed, being renewed every `period`.
    pub fn renew(&mut self, now: Timestamp, period: Duration) -> Vec<HeldPermit> {
        let mut renewed = Vec::new();
        for (replica, at_replica) in &mut self.replicas {
            for cached in &mut at_replica.permits {
                // Who looks comes once a period: what is due before the next look is due.
                if now.since(cached.renewed) >= period / 2 {
                    cached.renewed = now;
                    renewed.push(cached.held(replica));
                }
            }
        }
        renewed
    }

    /// Gives back what nothing has needed for a while: it is to be called every [`LOOK_EVERY`].
    pub fn give_back_idle(&mut self, now: Timestamp) -> Vec<Release> {
        let mut returned = Vec::new();
        if now.since(self.looked) < LOOK_EVERY {
            return returned;
        }
        self.looked = now;
        for (replica, at_replica) in &mut self.replicas {
            let running = at_replica.running();
            let needed = std::mem::replace(&mut at_replica.most_running, running) - running;
            at_replica.give_back_beyond(now, needed, replica, &mut returned);
        }
        self.forget_empty();
        returned
    }

    /// Gives back all that is idle.
    pub fn give_back_all(&mut self, now: Timestamp) -> Vec<Release> {
        let mut returned = Vec::new();
        for (replica, at_replica) in &mut self.replicas {
            at_replica.give_back_beyond(now, 0, replica, &mut returned);
        }
        self.forget_empty();
        returned
    }

    /// Whether the caller is to look after idle slots: there are some, and nobody else does. It is to come back after
    /// [`LOOK_EVERY`], with [`give_back_idle`](Self::give_back_idle), and to ask again.
    pub fn watch(&mut self, now: Timestamp) -> bool {
        let is_needed = now >= self.watched_until && self.replicas.values().any(|at_replica| at_replica.idle() > 0);
        if is_needed {
            self.watched_until = now + LENT_FOR * 2;
        }
        is_needed
    }

    /// Whoever looked after idle slots has come back.
    pub fn on_watched(&mut self) {
        self.watched_until = Timestamp::default();
    }

    fn forget_empty(&mut self) {
        self.replicas.retain(|_, at_replica| !at_replica.permits.is_empty());
    }
}

/// For how long slots are lent: a permit that is not renewed must have ended here before the cell frees it.
fn lent_for(ttl: Duration) -> Duration {
    LENT_FOR.min(ttl / 3)
}

/// How long idle slots are kept, and how long the cell's word holds that it lends, from when it was asked: a replica that
/// drains gets nothing any more within that time, wherever the cell is.
const LENT_FOR: Duration = Duration::from_secs(1);
/// What is lent is not for requests that may not use more of a replica's room than this, in percent: it is lent of the one half.
const MOST_HEADROOM: u8 = 50;
/// How often idle slots are looked at: what was needed at no time between two looks goes back.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
