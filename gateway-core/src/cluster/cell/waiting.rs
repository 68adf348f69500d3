//! Whose turn it is where there is room, and who waits where there is none.
//!
//! Turns are handed out in the queue's order, newcomers among those that wait already. Whoever fits a replica takes its room
//! in thought. Whoever fits none has one replica closed to all that come after: that which has most room, until it has
//! enough. So nobody is overtaken for ever by smaller requests, and what one waits for keeps no more than one replica from
//! others. With one replica alone, what does not fit holds up all that come after.
//!
//! A replica that is behind with prompts has no room either: what waits inside of an engine waits in no order of ours.

use std::time::Duration;

use super::ClusterCell;
use super::placing::uncached_anywhere;
use super::policies::KnownPolicy;
use super::queue::Comer;
use super::sites::duration;
use crate::cluster::choice::{PassedOver, Standing};
use crate::cluster::message::{Acquire, ClusterReply, Refusal};
use crate::cluster::permit::{Capacity, PermitId};
use crate::cluster::policy::PrefillPolicy;
use crate::cluster::prompt::TELLS_FROM;
use crate::cluster::waiting::{Dropped, Queued};
use crate::cluster::weighed::Weighed;
use crate::ids::Tokens;
use crate::time::Timestamp;

/// A request whose turn it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    permit: Option<PermitId>,
    /// Which of the policy's replicas are closed to it; none where it is empty.
    pub closed: Vec<bool>,
    /// The share of the room that it may not use, in percent.
    pub headroom_percent: u8,
}

/// A request for which there is no room now, or only room for others.
pub(super) struct Unplaced {
    pub passed_over: PassedOver,
    /// What was weighed, where that was asked for.
    pub weighed: Option<Box<Weighed>>,
    /// Whether it was among those that wait before it asked.
    pub was_waiting: bool,
}

impl ClusterCell {
    /// Those that wait and whose askers should ask again now: there is room for them, or their places went to others.
    pub fn turns(&self, now: Timestamp) -> Vec<PermitId> {
        let room = || self.in_force().map(|known| self.hand_out(now, known));
        let turns = (!self.queue.is_empty()).then(room).flatten().unwrap_or_default();
        let turns = turns.into_iter().filter_map(|turn| turn.permit);
        turns.chain(self.queue.evicted()).collect()
    }

    /// Whether a request may take what room there is; `None` where that is for others.
    pub(super) fn turn(&mut self, now: Timestamp, acquire: &Acquire, known: &KnownPolicy) -> Option<Turn> {
        if self.queue.is_empty() {
            return Some(Turn {
                headroom_percent: acquire.headroom_percent,
                ..Turn::default()
            });
        }
        self.put(now, acquire, known);
        let mut turns = self.hand_out(now, known).into_iter();
        turns.find(|turn| turn.permit == Some(acquire.permit))
    }

    fn put(&mut self, now: Timestamp, acquire: &Acquire, known: &KnownPolicy) {
        let queueing = acquire.queueing.as_ref();
        let comer = Comer {
            // Whoever tells nothing of it is a tenant more.
            tenant: queueing.map_or(0, |queueing| queueing.tenant),
            session: queueing.map_or(acquire.permit.0, |queueing| queueing.session),
            priority: queueing.map_or(1, |queueing| queueing.priority),
            bytes: queueing.map_or(0, |queueing| queueing.bytes),
            waited: queueing.map_or(Duration::ZERO, |queueing| queueing.waited),
            patience: queueing.map_or(Duration::ZERO, |queueing| queueing.patience),
            uncached: self.uncached(now, acquire, known),
            kv_tokens: acquire.kv_tokens,
            headroom_percent: acquire.headroom_percent,
            tried: acquire.tried.clone(),
        };
        self.queue.put(now, acquire.permit, comer);
    }

    /// Who may take the room that there is, in order.
    fn hand_out(&self, now: Timestamp, known: &KnownPolicy) -> Vec<Turn> {
        let mut left = self.room_left(now, known);
        let mut turns = Vec::new();
        if !left.is_any() {
            return turns;
        }
        for (permit, headroom_percent) in self.queue.order() {
            if !left.is_any() {
                break;
            }
            let Some(entry) = self.queue.get(permit).filter(|entry| !entry.is_late(now)) else {
                continue;
            };
            let may_go = |index: usize| !entry.tried.contains(&known.policy.replicas[index]);
            if let Some(index) = left.roomiest(may_go, Some((entry.kv_tokens, headroom_percent))) {
                turns.push(Turn {
                    permit: Some(permit),
                    closed: left.each.iter().map(|replica| replica.is_closed).collect(),
                    headroom_percent,
                });
                let replica = &mut left.each[index];
                replica.held = replica.held + Capacity::of_one(entry.kv_tokens);
                if Tokens(entry.uncached) >= TELLS_FROM {
                    replica.queued += duration(entry.uncached, replica.tokens_per_s);
                }
            } else if let Some(index) = left.roomiest(may_go, None) {
                left.each[index].is_closed = true;
            }
        }
        turns
    }

    /// What there is to be handed out.
    fn room_left(&self, now: Timestamp, known: &KnownPolicy) -> RoomLeft {
        let (held, usable) = (self.held(known), self.usable(now, known).each);
        let PrefillPolicy {
            tokens_per_s: configured,
            most_queued,
            ..
        } = known.policy.prefill;
        let replicas = held.into_iter().zip(usable).enumerate();
        let replica = |(index, (held, is_usable)): (usize, (Capacity, bool))| {
            let site = known.sites.get(index).and_then(|site| self.sites.get(*site));
            ReplicaLeft {
                room: self.room(now, known, index),
                held,
                queued: site.map_or(Duration::ZERO, |site| site.queued_of_told(now, configured)),
                tokens_per_s: site.map_or(configured, |site| site.tokens_per_s(configured)),
                is_closed: !is_usable,
            }
        };
        RoomLeft {
            each: replicas.map(replica).collect(),
            most_queued,
        }
    }

    /// There is no room for a request now, or it is for others: it waits, or is sent away.
    pub(super) fn wait(
        &mut self,
        now: Timestamp,
        acquire: &Acquire,
        known: &KnownPolicy,
        Unplaced {
            passed_over,
            weighed,
            was_waiting,
        }: Unplaced,
    ) -> ClusterReply {
        self.scaling.on_asked(now);
        let recovery = self.recovery(now, known, &acquire.tried);
        // Where all that it may go to have failed, room is of no use before one of them is tried.
        let not_before = recovery.filter(|_| passed_over.full == 0);
        if self.queue.get(acquire.permit).is_none() {
            self.put(now, acquire, known);
        }
        let places = self.queue.ahead_of(acquire.permit) + 1;
        // At what pace places became free before says nothing of when that is.
        let expected = not_before.unwrap_or_else(|| self.queue.pace.until(places));
        let can_wait = acquire.queueing.is_some() && passed_over.full + passed_over.open > 0;
        let admitted = if can_wait {
            self.admit(now, acquire, (expected, not_before), was_waiting)
        } else {
            Err(None)
        };
        let patience = acquire
            .queueing
            .as_ref()
            .map_or(Duration::ZERO, |queueing| queueing.patience);
        let hold = recovery.map_or(LONGEST_HOLD, |recovery| recovery.clamp(SHORTEST_PAUSE, LONGEST_HOLD));
        match admitted {
            Ok(()) => {
                let again_in = (expected / ASKS_PER_WAIT).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                let is_held = acquire.queueing.as_ref().is_some_and(|queueing| queueing.may_be_held);
                let told = if is_held { hold } else { again_in } + LONGEST_TRIP;
                self.queue.on_told(now, acquire.permit, told * LATE_AFTER);
                ClusterReply::Queued(Queued {
                    load: self.load(now, known),
                    expected,
                    again_in: again_in.min(patience),
                    hold_for: hold.min(patience),
                    passed_over,
                    knows_policy: true,
                    weighed,
                })
            }
            Err(dropped) => {
                // Nobody knows how much longer a wait lasts that has lasted for so long already: about as long again.
                let expected = expected.max(self.queue.stalled_for(now));
                self.queue.leave(acquire.permit);
                ClusterReply::Refused(Refusal {
                    load: self.load(now, known),
                    recovery,
                    passed_over,
                    expected_wait: can_wait.then_some(expected),
                    dropped,
                    knows_policy: true,
                    weighed,
                })
            }
        }
    }

    /// A request's place went to another.
    pub(super) fn refuse_evicted(&self, now: Timestamp, known: &KnownPolicy) -> ClusterReply {
        ClusterReply::Refused(Refusal {
            load: self.load(now, known),
            recovery: None,
            passed_over: PassedOver::default(),
            expected_wait: Some(self.queue.status(now).expected),
            dropped: Some(Dropped::Evicted),
            knows_policy: true,
            weighed: None,
        })
    }

    /// Whether a request that is among the entries waits on.
    ///
    /// # Errors
    /// Why not, where it would have liked to.
    fn admit(
        &mut self,
        now: Timestamp,
        acquire: &Acquire,
        (expected, not_before): (Duration, Option<Duration>),
        was_waiting: bool,
    ) -> Result<(), Option<Dropped>> {
        let Some(queueing) = &acquire.queueing else {
            return Err(None);
        };
        if queueing.patience.is_zero() {
            return Err((!queueing.waited.is_zero()).then_some(Dropped::Deadline));
        }
        if was_waiting {
            return Ok(());
        }
        let is_told = not_before.is_some() || self.queue.pace.is_known();
        if is_told && expected > queueing.patience {
            return Err(Some(Dropped::Deadline));
        }
        self.queue.admit(now, acquire.permit, queueing.bounds).map_err(Some)
    }

    /// What of the prompt has to be computed wherever it goes.
    fn uncached(&self, now: Timestamp, acquire: &Acquire, known: &KnownPolicy) -> u64 {
        uncached_anywhere(acquire, &self.warmth(now, acquire, known, None))
    }
}

/// What replicas have room for, beyond the turns that are handed out in thought.
struct RoomLeft {
    each: Vec<ReplicaLeft>,
    /// One that what is queued there keeps for longer gets nothing.
    most_queued: Duration,
}

struct ReplicaLeft {
    room: Capacity,
    held: Capacity,
    queued: Duration,
    tokens_per_s: u32,
    /// It is out, or whoever comes first waits for its room.
    is_closed: bool,
}

impl RoomLeft {
    /// Whether there is a place.
    fn is_any(&self) -> bool {
        let has_slot = |replica: &ReplicaLeft| replica.held.requests < replica.room.requests;
        self.each
            .iter()
            .any(|replica| self.is_open(replica) && has_slot(replica))
    }

    fn is_open(&self, replica: &ReplicaLeft) -> bool {
        !replica.is_closed && replica.queued <= self.most_queued
    }

    /// Which of those that are open, and that it `may_go` to, holds least; where something is to fit with that headroom, of
    /// those that it fits.
    fn roomiest(&self, may_go: impl Fn(usize) -> bool, fits: Option<(Tokens, u8)>) -> Option<usize> {
        let does_fit = |replica: &ReplicaLeft| {
            fits.is_none_or(|(kv_tokens, headroom_percent)| {
                let room = replica.room.open_to(headroom_percent);
                matches!(Standing::within(room, replica.held, kv_tokens), Standing::Free(_))
            })
        };
        let open = self.each.iter().enumerate();
        let open = open.filter(|(index, replica)| self.is_open(replica) && may_go(*index) && does_fit(replica));
        let least = open.min_by_key(|(_, replica)| (replica.held.kv_tokens, replica.held.requests));
        least.map(|(index, _)| index)
    }
}

/// Who cannot be told asks so often in the time that it is expected to wait,
const ASKS_PER_WAIT: u32 = 4;
/// but no more often than this,
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// and no less often than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// There and back between an asker and its cell takes as long at most, nearly everywhere.
const LONGEST_TRIP: Duration = Duration::from_millis(150);
/// Who has not asked again after so many times what it was told has lost its turn, until it asks.
const LATE_AFTER: u32 = 2;
/// A call is held no longer, so that the cell knows that its asker is alive.
const LONGEST_HOLD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
