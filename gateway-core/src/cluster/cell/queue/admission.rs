//! Who may begin to wait, and who goes for it where the queue is full: the last one of a lower priority, or else of the tenant
//! of the same priority that has most of the queue, as long as it has more than the newcomer's. So one tenant that fills the
//! queue keeps nobody out, and who is sent away for one's own many requests is one of these.

use std::collections::BTreeMap;

use super::shedding::{Filling, is_shed};
use super::{Entry, MOST_EVICTED, UNHEARD_FOR, WaitingQueue};
use crate::cluster::permit::PermitId;
use crate::cluster::waiting::{Dropped, QueueBounds};
use crate::time::Timestamp;

impl WaitingQueue {
    /// Whether one that has just come, and is among the entries, may stay; others may have to go for it.
    ///
    /// # Errors
    /// Why not. It is no entry any more then.
    pub fn admit(&mut self, now: Timestamp, permit: PermitId, bounds: QueueBounds) -> Result<(), Dropped> {
        let Some(entry) = self.entries.get(&permit) else {
            return Err(Dropped::QueueFull);
        };
        let priority = entry.priority;
        let before = Filling {
            requests: self.requests().saturating_sub(1),
            bytes: self.bytes - entry.bytes,
        };
        // One that would be shed may still come in the place of one that matters less, or is like it.
        let mut takes_a_place = is_shed(before, bounds, priority, permit);
        while takes_a_place || !self.filling().is_within(bounds) {
            let lesser = self.last_of_lesser(priority);
            let Some(evicted) = lesser.or_else(|| self.last_of_largest(permit, bounds)) else {
                self.leave(permit);
                return Err(Dropped::QueueFull);
            };
            self.evict(now, evicted);
            takes_a_place = false;
        }
        Ok(())
    }

    /// The last of those that matter least, and less than that priority.
    fn last_of_lesser(&self, priority: u8) -> Option<PermitId> {
        let lesser = self.entries.iter().filter(|(_, other)| other.priority > priority);
        let last = lesser.max_by_key(|(_, other)| (other.priority, other.joined));
        last.map(|(evicted, _)| *evicted)
    }

    /// The last one of the tenant that has most of the queue among those of the newcomer's priority, where it has no less
    /// without that one than the newcomer's has with the newcomer. What a tenant has is the larger of its shares of the two
    /// bounds. Source: dominant resource fairness (Ghodsi et al., 2011).
    fn last_of_largest(&self, newcomer: PermitId, bounds: QueueBounds) -> Option<PermitId> {
        let own = self.entries.get(&newcomer)?;
        let mut by_tenant = BTreeMap::<u64, Filling>::new();
        for entry in self.entries.values().filter(|other| other.priority == own.priority) {
            let filling = by_tenant.entry(entry.tenant).or_default();
            filling.requests += 1;
            filling.bytes += entry.bytes;
        }
        let of_newcomer = by_tenant.remove(&own.tenant)?.share(bounds);
        let (largest, filling) = by_tenant.into_iter().max_by_key(|(_, filling)| filling.share(bounds))?;
        let of_largest = |entry: &Entry| entry.priority == own.priority && entry.tenant == largest;
        let theirs = self.entries.iter().filter(|(_, entry)| of_largest(entry));
        let (last, entry) = theirs.max_by_key(|(_, entry)| entry.joined)?;
        let without = Filling {
            requests: filling.requests - 1,
            bytes: filling.bytes - entry.bytes,
        };
        (without.share(bounds) >= of_newcomer).then_some(*last)
    }

    fn evict(&mut self, now: Timestamp, permit: PermitId) {
        self.leave(permit);
        if self.evicted.len() >= MOST_EVICTED {
            self.evicted.pop_first();
        }
        let until = now + UNHEARD_FOR;
        self.evicted.insert(permit, until);
        self.sweep_at = self.sweep_at.min(until);
    }
}
