//! The permits that one edge location keeps of a cluster. A request whose first choice has a place here takes it, and
//! no message has to go to the cluster's cell and back before it is dispatched; when it ends, the place is there for
//! the next. The cell counts a place from the moment that it is lent to the moment that it is given back.
//!
//! What bounds it: the cell lends only where there is plenty of room, and has to say so again every [`LENT_FOR`]. A place
//! that nothing needed for that long goes back. After a failure all idle places of the replica go back, and the cell
//! decides about each request until it lends again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::choice::first_choice;
use super::message::Release;
use super::permit::{HeldPermit, Outcome, PermitId, Share};
use crate::config::Replica;
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// What is kept of one cluster.
#[derive(Debug, Default)]
pub struct PermitCache {
    shelves: BTreeMap<ReplicaName, Shelf>,
    /// When idle places were last looked at.
    looked: Timestamp,
    /// Until when somebody looks after them.
    watched_until: Timestamp,
}

/// The permits at one replica.
#[derive(Debug, Default)]
struct Shelf {
    permits: Vec<Kept>,
    /// The most that ran at once since idle places were last looked at.
    most_running: u32,
    /// When the cell was asked whether it goes on lending, if it has not replied.
    asked: Option<Timestamp>,
    /// Requests were served that the cell was not told of.
    has_served: bool,
}

#[derive(Debug)]
struct Kept {
    id: PermitId,
    share: Share,
    /// What requests have of it.
    used: Share,
    /// Until when requests may begin under it.
    lent_until: Timestamp,
    renewed: Timestamp,
}

/// A place that a request has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// At which of the replicas.
    pub replica: usize,
    /// Under which permit.
    pub permit: PermitId,
    /// Whether the caller is to ask the cell to go on lending.
    pub is_to_extend: bool,
}

impl PermitCache {
    /// Takes a place for a request of that affinity, if the first of `replicas` in its order has one here. `headroom_percent`
    /// of their room is not for this request: more than half of it, and what is lent is not either.
    pub fn take(
        &mut self,
        now: Timestamp,
        affinity: u64,
        replicas: &[Replica],
        kv_tokens: Tokens,
        headroom_percent: u8,
    ) -> Option<Taken> {
        if headroom_percent > 50 {
            return None;
        }
        let replica = first_choice(affinity, names(replicas))?;
        let shelf = self.shelves.get_mut(&replicas[replica].name)?;
        let one = Share::of_one(kv_tokens);
        let fits = |kept: &&mut Kept| kept.lent_until > now && kept.idle().holds(one);
        let kept = shelf.permits.iter_mut().find(fits)?;
        kept.used = kept.used + one;
        let permit = kept.id;
        let is_time = kept.lent_until.since(now) <= LENT_FOR / 2;
        shelf.on_begin();
        let is_to_extend = is_time && shelf.asked.is_none_or(|asked| now.since(asked) >= LENT_FOR);
        if is_to_extend {
            shelf.asked = Some(now);
        }
        Some(Taken {
            replica,
            permit,
            is_to_extend,
        })
    }

    /// How many places a request that has to ask the cell asks for besides its own: an eighth of what runs at its first
    /// choice, so that growing takes few questions.
    pub fn spare(&self, affinity: u64, replicas: &[Replica]) -> u32 {
        let replica = first_choice(affinity, names(replicas));
        let shelf = replica.and_then(|replica| self.shelves.get(&replicas[replica].name));
        shelf.map_or(0, |shelf| shelf.running() / 8)
    }

    /// A request got a permit that may be kept, and has `one` of it. Without renewal it holds for `ttl`.
    pub fn on_granted(&mut self, now: Timestamp, held: &HeldPermit, one: Share, ttl: Duration) {
        let shelf = self.shelves.entry(held.replica.clone()).or_default();
        shelf.permits.push(Kept {
            id: held.permit,
            share: held.share,
            used: one,
            lent_until: now + lent_for(ttl),
            renewed: now,
        });
        shelf.on_begin();
    }

    /// A request under such a permit has ended; gives what the cell is to hear.
    pub fn on_end(
        &mut self,
        now: Timestamp,
        replica: &ReplicaName,
        permit: PermitId,
        one: Share,
        outcome: Outcome,
    ) -> Vec<Release> {
        let mut returned = Vec::new();
        let Some(shelf) = self.shelves.get_mut(replica) else {
            return returned;
        };
        let Some(kept) = shelf.permits.iter_mut().find(|kept| kept.id == permit) else {
            return returned;
        };
        kept.used = kept.used.without(one);
        match outcome {
            Outcome::Failed => shelf.close(),
            Outcome::Served => shelf.has_served = true,
            Outcome::Unknown => {}
        }
        shelf.give_back_beyond(now, u32::MAX, replica, &mut returned);
        if outcome == Outcome::Failed
            && let Some(news) = returned.iter_mut().find(|release| release.permit == permit)
        {
            // Its own place, at least, went back with the others.
            news.outcome = outcome;
            news.served_before = std::mem::take(&mut shelf.has_served);
        }
        self.forget_empty();
        returned
    }

    /// The cell has said whether it goes on lending; gives what it is to hear.
    pub fn on_extended(&mut self, now: Timestamp, replica: &ReplicaName, lends: bool, ttl: Duration) -> Vec<Release> {
        let mut returned = Vec::new();
        let Some(shelf) = self.shelves.get_mut(replica) else {
            return returned;
        };
        shelf.asked = None;
        if lends {
            for kept in shelf.permits.iter_mut().filter(|kept| kept.lent_until > now) {
                (kept.lent_until, kept.renewed) = (now + lent_for(ttl), now);
            }
        } else {
            shelf.close();
            shelf.give_back_beyond(now, 0, replica, &mut returned);
            self.forget_empty();
        }
        returned
    }

    /// All permits at a replica, to ask the cell about.
    pub fn held_at(&self, replica: &ReplicaName) -> Vec<HeldPermit> {
        let permits = self.shelves.get(replica).into_iter().flat_map(|shelf| &shelf.permits);
        permits.map(|kept| kept.held(replica)).collect()
    }

    /// The permits that are to be renewed, being renewed every `period`.
    pub fn renew(&mut self, now: Timestamp, period: Duration) -> Vec<HeldPermit> {
        let mut renewed = Vec::new();
        for (replica, shelf) in &mut self.shelves {
            for kept in &mut shelf.permits {
                // Who looks comes once a period: what is due before the next look is due.
                if now.since(kept.renewed) >= period / 2 {
                    kept.renewed = now;
                    renewed.push(kept.held(replica));
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
        for (replica, shelf) in &mut self.shelves {
            let running = shelf.running();
            let needed = std::mem::replace(&mut shelf.most_running, running) - running;
            shelf.give_back_beyond(now, needed, replica, &mut returned);
        }
        self.forget_empty();
        returned
    }

    /// Gives back all that is idle.
    pub fn give_back_all(&mut self, now: Timestamp) -> Vec<Release> {
        let mut returned = Vec::new();
        for (replica, shelf) in &mut self.shelves {
            shelf.give_back_beyond(now, 0, replica, &mut returned);
        }
        self.forget_empty();
        returned
    }

    /// Whether the caller is to look after idle places: there are some, and nobody else does. It is to come back after
    /// [`LOOK_EVERY`], with [`give_back_idle`](Self::give_back_idle), and to ask again.
    pub fn watch(&mut self, now: Timestamp) -> bool {
        let is_needed = now >= self.watched_until && self.shelves.values().any(|shelf| shelf.idle() > 0);
        if is_needed {
            self.watched_until = now + LENT_FOR * 2;
        }
        is_needed
    }

    /// Whoever looked after idle places has come back.
    pub fn on_watched(&mut self) {
        self.watched_until = Timestamp::default();
    }

    fn forget_empty(&mut self) {
        self.shelves.retain(|_, shelf| !shelf.permits.is_empty());
    }
}

impl Shelf {
    /// A request has taken one of the places.
    fn on_begin(&mut self) {
        self.most_running = self.most_running.max(self.running());
    }

    /// Requests that run under the permits.
    fn running(&self) -> u32 {
        self.permits.iter().map(|kept| kept.used.places).sum()
    }

    /// Places that nobody uses.
    fn idle(&self) -> u32 {
        self.permits.iter().map(|kept| kept.idle().places).sum()
    }

    /// Lets no request begin under any of the permits.
    fn close(&mut self) {
        for kept in &mut self.permits {
            kept.lent_until = Timestamp::default();
        }
    }

    /// Gives back idle places but for that many; of permits under which nothing may begin, all.
    fn give_back_beyond(&mut self, now: Timestamp, most: u32, replica: &ReplicaName, returned: &mut Vec<Release>) {
        let mut more = self.idle().saturating_sub(most);
        for kept in &mut self.permits {
            let places = if kept.lent_until > now { more } else { u32::MAX };
            let places = places.min(kept.idle().places);
            if places == 0 {
                continue;
            }
            more = more.saturating_sub(places);
            returned.push(Release {
                permit: kept.id,
                left: kept.give_back(places),
                replica: Some(replica.clone()),
                served_before: false,
                outcome: Outcome::Unknown,
            });
        }
        self.permits.retain(|kept| kept.share.places > 0);
    }
}

impl Kept {
    fn idle(&self) -> Share {
        self.share.without(self.used)
    }

    fn held(&self, replica: &ReplicaName) -> HeldPermit {
        HeldPermit {
            permit: self.id,
            replica: replica.clone(),
            share: self.share,
        }
    }

    /// Gives back that many idle places, each with its part of the idle kv_cache; tells what is left.
    fn give_back(&mut self, places: u32) -> Option<Share> {
        let idle = self.idle();
        let places = places.min(idle.places);
        let kept_places = u64::from(idle.places - places);
        let kv_tokens = idle.kv_tokens.0.checked_div(idle.places.into()).unwrap_or_default() * kept_places;
        self.share = self.used
            + Share {
                places: idle.places - places,
                kv_tokens: Tokens(kv_tokens),
            };
        (self.share.places > 0).then_some(self.share)
    }
}

/// For how long places are lent: a permit that is not renewed must have ended here before the cell frees it.
fn lent_for(ttl: Duration) -> Duration {
    LENT_FOR.min(ttl / 3)
}

fn names(replicas: &[Replica]) -> impl Iterator<Item = &ReplicaName> {
    replicas.iter().map(|replica| &replica.name)
}

/// How long idle places are kept, and how long the cell's word holds that it lends.
const LENT_FOR: Duration = Duration::from_secs(1);
/// How often idle places are looked at: what was needed at no time between two looks goes back.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
