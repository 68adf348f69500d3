//! The cluster cell: in-flight requests and kv_cache of every replica, counted when a request is dispatched and not
//! when an engine reports it. Figures of the moment only: permits that nobody renews expire, and a cell that was
//! restarted learns running permits again from their renewals.
//!
//! Where a replica has plenty of room and has not failed lately, a permit may be kept for request after request, and
//! hold slots for some more: what is lent so is counted from the moment that it is lent, so that no replica ever has
//! more than it has room for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::{Breaker, BreakerPolicy};
use super::choice::{ReplicaUse, choose};
use super::message::{Acquire, ClusterCommand, ClusterReply, Extend, Extended, Grant, Refusal, Release, ReplicaStatus};
use super::permit::{Capacity, ClusterLoad, HeldPermit, Outcome, PermitId};
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// The state of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterCell {
    replicas: BTreeMap<ReplicaName, ReplicaState>,
    permits: BTreeMap<PermitId, Permit>,
    /// No permit expires before this moment.
    sweep_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ReplicaState {
    running: u32,
    kv_tokens: Tokens,
    breaker: Breaker,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Permit {
    replica: ReplicaName,
    /// Records that are older than the field are of permits for one request.
    #[serde(default = "one", rename = "places")]
    requests: u32,
    kv_tokens: Tokens,
    expires: Timestamp,
}

impl ReplicaState {
    /// Whether permits there may be kept: it takes many requests like `more`, is at most half full with that in it, and
    /// its breaker knows of no failure. Then what is left of the half.
    fn lendable(self, more: Capacity, room: Capacity) -> Option<Capacity> {
        let is_roomy = room.requests >= MANY && more.kv_tokens.0.saturating_mul(MANY.into()) <= room.kv_tokens.0;
        let half = Capacity {
            requests: room.requests / 2,
            kv_tokens: Tokens(room.kv_tokens.0 / 2),
        };
        let held = more
            + Capacity {
                requests: self.running,
                kv_tokens: self.kv_tokens,
            };
        let is_lendable = is_roomy && self.breaker == Breaker::default() && half.holds(held);
        is_lendable.then(|| half.without(held))
    }
}

impl ClusterCell {
    /// Runs one command.
    pub fn apply(&mut self, now: Timestamp, command: ClusterCommand) -> ClusterReply {
        self.sweep(now);
        let reply = match command {
            ClusterCommand::Acquire(acquire) => self.acquire(now, &acquire),
            ClusterCommand::Extend(extend) => ClusterReply::Extended(self.extend(now, extend)),
            ClusterCommand::Renew { held, ttl } => {
                self.renew(held, now + ttl);
                ClusterReply::Done
            }
            ClusterCommand::Release { releases, breaker } => {
                for release in &releases {
                    self.release(now, release, breaker);
                }
                ClusterReply::Done
            }
            ClusterCommand::Status => ClusterReply::Status(self.status(now)),
        };
        debug_assert_eq!(self.check_invariants(), Ok(()));
        reply
    }

    /// What must hold after every command: each replica's figures are the sums over its permits, no permit expires
    /// before the next sweep, and nothing is kept of replicas that hold nothing and have done no wrong.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        let mut sums: BTreeMap<&ReplicaName, (u32, Tokens)> = BTreeMap::new();
        for (id, permit) in &self.permits {
            let sum = sums.entry(&permit.replica).or_default();
            sum.0 += permit.requests;
            sum.1 += permit.kv_tokens;
            if permit.expires < self.sweep_at {
                return Err(format!("{id:?} expires before the next sweep"));
            }
        }
        for (name, state) in &self.replicas {
            let (running, kv_tokens) = sums.remove(name).unwrap_or_default();
            if (running, kv_tokens) != (state.running, state.kv_tokens) {
                return Err(format!(
                    "{name}: {state:?}, but its permits sum to {running} and {kv_tokens}"
                ));
            }
            if running == 0 && state.breaker == Breaker::default() {
                return Err(format!("{name} is kept for nothing"));
            }
        }
        if sums.is_empty() {
            Ok(())
        } else {
            Err(format!("permits at unknown replicas: {sums:?}"))
        }
    }

    fn acquire(&mut self, now: Timestamp, acquire: &Acquire) -> ClusterReply {
        if let Some(permit) = self.permits.get(&acquire.permit) {
            // The reply to the first asking was lost, most likely: who asks renews no more than its own slot. It may have
            // arrived all the same, so that nothing of the permit can be taken back here.
            let replica = permit.replica.clone();
            return ClusterReply::Granted(Grant {
                replica,
                lent: None,
                load: self.load(now, &acquire.replicas, acquire.room),
            });
        }
        let chosen = {
            let uses: Vec<_> = acquire
                .replicas
                .iter()
                .filter(|name| !acquire.tried.contains(name) && self.state(name).breaker.passes(now))
                .map(|replica| self.replica_use(replica))
                .collect();
            choose(
                &uses,
                acquire.affinity,
                acquire.kv_tokens,
                acquire.room.open_to(acquire.headroom_percent),
            )
        };
        let Some(replica) = chosen.cloned() else {
            return ClusterReply::Refused(Refusal {
                load: self.load(now, &acquire.replicas, acquire.room),
                recovery: self.recovery(now, acquire),
            });
        };
        let one = Capacity::of_one(acquire.kv_tokens);
        let room = acquire.room.open_to(acquire.headroom_percent);
        let lent = self.state(&replica).lendable(one, room);
        let lent = lent.map(|most| acquire.spare.min(most.count_of(one)));
        let held = HeldPermit {
            permit: acquire.permit,
            replica: replica.clone(),
            capacity: one.times(1 + lent.unwrap_or_default()),
        };
        self.hold(held, now + acquire.ttl);
        self.replicas
            .entry(replica.clone())
            .or_default()
            .breaker
            .on_pass(acquire.permit);
        ClusterReply::Granted(Grant {
            replica,
            lent,
            load: self.load(now, &acquire.replicas, acquire.room),
        })
    }

    fn extend(&mut self, now: Timestamp, extend: Extend) -> Extended {
        self.renew(extend.held, now + extend.ttl);
        let lendable = self.state(&extend.replica).lendable(Capacity::default(), extend.room);
        Extended {
            lends: lendable.is_some(),
            load: self.load(now, &extend.replicas, extend.room),
        }
    }

    fn renew(&mut self, held: Vec<HeldPermit>, expires: Timestamp) {
        for held in held {
            self.hold(held, expires);
        }
    }

    /// Holds a permit until then. One that is known may have become less, never more.
    fn hold(&mut self, held: HeldPermit, expires: Timestamp) {
        self.sweep_at = if self.permits.is_empty() {
            expires
        } else {
            self.sweep_at.min(expires)
        };
        if let Some(permit) = self.permits.get_mut(&held.permit) {
            permit.expires = expires;
            self.shrink(held.permit, held.capacity);
            return;
        }
        let Capacity { requests, kv_tokens } = held.capacity;
        let state = self.replicas.entry(held.replica.clone()).or_default();
        state.running += requests;
        state.kv_tokens += kv_tokens;
        let permit = Permit {
            replica: held.replica,
            requests,
            kv_tokens,
            expires,
        };
        self.permits.insert(held.permit, permit);
    }

    fn release(&mut self, now: Timestamp, release: &Release, policy: BreakerPolicy) {
        let held_at = match release.left {
            Some(left) => self.shrink(release.permit, left),
            None => self.free(release.permit),
        };
        // A permit that expired meanwhile still tells how its replica did.
        if let Some(replica) = held_at.as_ref().or(release.replica.as_ref()) {
            let breaker = &mut self.replicas.entry(replica.clone()).or_default().breaker;
            if release.served_before {
                breaker.on_outcome(now, release.permit, Outcome::Served, policy);
            }
            breaker.on_outcome(now, release.permit, release.outcome, policy);
            self.forget_if_idle(replica);
        }
    }

    /// Takes what the permit has more than `left` out of its replica's figures, and tells which replica that is.
    fn shrink(&mut self, permit: PermitId, left: Capacity) -> Option<ReplicaName> {
        let permit = self.permits.get_mut(&permit)?;
        let held = Capacity {
            requests: permit.requests,
            kv_tokens: permit.kv_tokens,
        };
        let less = held.without(left);
        permit.requests -= less.requests;
        permit.kv_tokens = Tokens(permit.kv_tokens.0 - less.kv_tokens.0);
        if let Some(state) = self.replicas.get_mut(&permit.replica) {
            state.running -= less.requests;
            state.kv_tokens = Tokens(state.kv_tokens.0 - less.kv_tokens.0);
        }
        Some(permit.replica.clone())
    }

    /// Takes the permit out of its replica's figures, and tells which replica that was.
    fn free(&mut self, permit: PermitId) -> Option<ReplicaName> {
        let permit = self.permits.remove(&permit)?;
        if let Some(state) = self.replicas.get_mut(&permit.replica) {
            state.running -= permit.requests;
            state.kv_tokens = Tokens(state.kv_tokens.0 - permit.kv_tokens.0);
        }
        Some(permit.replica)
    }

    fn forget_if_idle(&mut self, replica: &ReplicaName) {
        if self.state(replica) == ReplicaState::default() {
            self.replicas.remove(replica);
        }
    }

    /// Frees the permits that nobody renewed.
    fn sweep(&mut self, now: Timestamp) {
        if now <= self.sweep_at {
            return;
        }
        let expired: Vec<_> = self
            .permits
            .iter()
            .filter(|(_, permit)| permit.expires < now)
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            let Some(replica) = self.free(id) else { continue };
            let breaker = &mut self.replicas.entry(replica.clone()).or_default().breaker;
            breaker.on_outcome(now, id, Outcome::Unknown, UNUSED_POLICY);
            self.forget_if_idle(&replica);
        }
        self.sweep_at = self
            .permits
            .values()
            .map(|permit| permit.expires)
            .min()
            .unwrap_or_default();
    }

    fn load(&self, now: Timestamp, replicas: &[ReplicaName], room: Capacity) -> ClusterLoad {
        let mut load = ClusterLoad::default();
        for state in replicas
            .iter()
            .map(|name| self.state(name))
            .filter(|state| state.breaker.passes(now))
        {
            load.running += state.running;
            load.max_running = load.max_running.saturating_add(room.requests);
            load.kv_tokens += state.kv_tokens;
            load.kv_cache_tokens += room.kv_tokens;
        }
        load
    }

    fn recovery(&self, now: Timestamp, acquire: &Acquire) -> Option<Duration> {
        let untried = acquire.replicas.iter().filter(|name| !acquire.tried.contains(name));
        untried.filter_map(|name| self.state(name).breaker.recovery(now)).min()
    }

    fn status(&self, now: Timestamp) -> Vec<ReplicaStatus> {
        let status = |(replica, state): (&ReplicaName, &ReplicaState)| ReplicaStatus {
            replica: replica.clone(),
            running: state.running,
            kv_tokens: state.kv_tokens,
            available: state.breaker.passes(now),
        };
        self.replicas.iter().map(status).collect()
    }

    fn state(&self, replica: &ReplicaName) -> ReplicaState {
        self.replicas.get(replica).copied().unwrap_or_default()
    }

    fn replica_use<'a>(&self, replica: &'a ReplicaName) -> ReplicaUse<'a> {
        let ReplicaState { running, kv_tokens, .. } = self.state(replica);
        ReplicaUse {
            replica,
            running,
            kv_tokens,
        }
    }
}

/// So many requests at once a replica must have room for if permits there are to be kept: of few slots none can lie
/// idle.
const MANY: u32 = 16;
fn one() -> u32 {
    1
}

/// An unknown outcome never opens a breaker, so that no policy is looked at.
const UNUSED_POLICY: BreakerPolicy = BreakerPolicy {
    failures: 1,
    open: Duration::ZERO,
};

#[cfg(test)]
mod tests;
