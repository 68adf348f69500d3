//! The permits that are kept at one replica: what requests have of each, and what goes back.

use crate::cluster::message::Release;
use crate::cluster::permit::{Capacity, HeldPermit, Outcome, PermitId};
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// The permits at one replica.
#[derive(Debug, Default)]
pub(super) struct ReplicaPermits {
    pub permits: Vec<CachedPermit>,
    /// The most that ran at once since idle slots were last looked at.
    pub most_running: u32,
    /// When the cell was asked whether it goes on lending, if it has not replied.
    pub asked: Option<Timestamp>,
    /// Requests were served that the cell was not told of.
    pub has_served: bool,
}

#[derive(Debug)]
pub(super) struct CachedPermit {
    pub id: PermitId,
    pub capacity: Capacity,
    /// What requests have of it.
    pub used: Capacity,
    /// Until when requests may begin under it.
    pub lent_until: Timestamp,
    pub renewed: Timestamp,
}

impl ReplicaPermits {
    /// A request has taken one of the slots.
    pub fn on_begin(&mut self) {
        self.most_running = self.most_running.max(self.running());
    }

    /// Requests that run under the permits.
    pub fn running(&self) -> u32 {
        self.permits.iter().map(|cached| cached.used.requests).sum()
    }

    /// Slots that nobody uses.
    pub fn idle(&self) -> u32 {
        self.permits.iter().map(|cached| cached.idle().requests).sum()
    }

    /// Lets no request begin under any of the permits.
    pub fn close(&mut self) {
        for cached in &mut self.permits {
            cached.lent_until = Timestamp::default();
        }
    }

    /// Gives back idle slots but for that many; of permits under which nothing may begin, all.
    pub fn give_back_beyond(&mut self, now: Timestamp, most: u32, replica: &ReplicaName, returned: &mut Vec<Release>) {
        let mut more = self.idle().saturating_sub(most);
        for cached in &mut self.permits {
            let slots = if cached.lent_until > now { more } else { u32::MAX };
            let slots = slots.min(cached.idle().requests);
            if slots == 0 {
                continue;
            }
            more = more.saturating_sub(slots);
            returned.push(Release {
                permit: cached.id,
                left: cached.give_back(slots),
                replica: Some(replica.clone()),
                served_before: false,
                outcome: Outcome::Unknown,
            });
        }
        self.permits.retain(|cached| cached.capacity.requests > 0);
    }
}

impl CachedPermit {
    /// Whether a request that takes so much may begin under it.
    pub fn has(&self, now: Timestamp, one: Capacity) -> bool {
        self.lent_until > now && self.idle().holds(one)
    }

    pub fn idle(&self) -> Capacity {
        self.capacity.without(self.used)
    }

    pub fn held(&self, replica: &ReplicaName) -> HeldPermit {
        HeldPermit {
            permit: self.id,
            replica: replica.clone(),
            capacity: self.capacity,
        }
    }

    /// Gives back that many idle slots, each with its part of the idle kv_cache; tells what is left.
    pub fn give_back(&mut self, slots: u32) -> Option<Capacity> {
        let idle = self.idle();
        let slots = slots.min(idle.requests);
        let kept_slots = u64::from(idle.requests - slots);
        let kv_tokens = idle.kv_tokens.0.checked_div(idle.requests.into()).unwrap_or_default() * kept_slots;
        self.capacity = self.used
            + Capacity {
                requests: idle.requests - slots,
                kv_tokens: Tokens(kv_tokens),
            };
        (self.capacity.requests > 0).then_some(self.capacity)
    }
}
