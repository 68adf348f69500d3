//! What engines have said of themselves, and what follows for their load: what runs or waits there beyond what this cell
//! gave out is of others. The cell gives the turns to ask; it asks nobody itself, and believes nobody for longer than it is
//! told to.
//!
//! A page shows a moment between the turn's beginning and its telling, or a little before: of a request that has ended since,
//! or has just begun, nobody can tell whether it is on it. So what an engine says counts as foreign only where it is more than
//! the most that was held there since the turn before this one began.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ClusterCell;
use super::policies::KnownPolicy;
use super::sites::Sites;
use crate::cluster::permit::Capacity;
use crate::cluster::signals::{AskForTurn, EngineFigures, Foreign, PollTurn, Signal, SignalState, TellSignals};
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// What is known of all engines, and when it is read anew.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::cluster) struct SignalTable {
    /// The number of the latest turn.
    turn: u64,
    /// When that began.
    begun: Timestamp,
    /// When the next one may begin: while nothing was told, when its holder has no more time.
    next: Timestamp,
    /// And when it has told.
    next_when_told: Timestamp,
    engines: BTreeMap<ReplicaName, Engine>,
}

/// One replica's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Engine {
    /// The most that the cell has held there since the latest turn began.
    most: Capacity,
    /// The most in the turn before.
    most_before: Capacity,
    said: Option<Said>,
}

/// What an engine said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    figures: EngineFigures,
    /// The most that the cell held there around that time.
    held: Capacity,
    /// When somebody began to ask.
    at: Timestamp,
    /// It is not believed after that.
    until: Timestamp,
    /// When somebody began to ask who heard something else than was said before.
    #[serde(default)]
    changed: Timestamp,
}

impl SignalTable {
    /// Whether nothing was ever asked.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// So much is held at a replica now.
    pub fn on_held(&mut self, replica: &ReplicaName, held: Capacity) {
        if let Some(engine) = self.engines.get_mut(replica) {
            engine.most = engine.most.most_of(held);
        }
    }

    /// Gives the turn, where it is time for one. Of each site it is known from then on how much is held there.
    pub fn take_turn(
        &mut self,
        now: Timestamp,
        ask: &AskForTurn,
        sites: &Sites,
        held: impl Fn(&ReplicaName) -> Capacity,
    ) -> PollTurn {
        if now < self.next {
            return PollTurn {
                turn: None,
                next_in: self.next.since(now),
            };
        }
        self.turn += 1;
        self.begun = now;
        self.next_when_told = now + ask.every;
        self.next = now + ask.every.max(ask.lasts);
        let mut before = std::mem::take(&mut self.engines);
        let engines = sites.names().map(|name| {
            let Engine { most, said, .. } = before.remove(name).unwrap_or_default();
            let engine = Engine {
                most: held(name),
                most_before: most,
                said,
            };
            (name.clone(), engine)
        });
        self.engines = engines.collect();
        PollTurn {
            turn: Some(self.turn),
            next_in: ask.every,
        }
    }

    /// Takes what engines said, unless a later turn has begun meanwhile: then it is not known any more what was held.
    /// Engines of which none said anything are left alone for a while.
    pub fn on_told(&mut self, told: TellSignals, held: impl Fn(&ReplicaName) -> Capacity) {
        if told.turn != self.turn {
            return;
        }
        let every = self.next_when_told.since(self.begun);
        let turns = if told.read.is_empty() { SELDOM } else { 1 };
        self.next = self.begun + every * turns;
        for (replica, figures) in told.read {
            let held = held(&replica);
            // Of one that is not known yet no more can be told than what it holds now.
            let engine = self.engines.entry(replica).or_default();
            let before = engine.said.filter(|said| said.figures == figures);
            engine.said = Some(Said {
                figures,
                held: engine.most.most_of(engine.most_before).most_of(held),
                at: self.begun,
                until: self.begun + told.ttl,
                changed: before.map_or(self.begun, |said| said.changed),
            });
        }
    }

    /// Those that have said something, in order.
    pub fn heard_of(&self) -> impl Iterator<Item = &ReplicaName> {
        let heard = self.engines.iter().filter(|(_, engine)| engine.said.is_some());
        heard.map(|(replica, _)| replica)
    }

    /// Whether what an engine says has changed since that moment, and is believed still.
    pub fn has_moved(&self, now: Timestamp, replica: &ReplicaName, since: Timestamp) -> bool {
        let said = self.engines.get(replica).and_then(|engine| engine.said);
        said.is_some_and(|said| now <= said.until && said.changed > since)
    }

    /// What an engine has said last.
    pub fn signal(&self, now: Timestamp, replica: &ReplicaName) -> Option<Signal> {
        let said = self.engines.get(replica)?.said?;
        Some(Signal {
            figures: said.figures,
            age: now.since(said.at),
            is_fresh: now <= said.until,
        })
    }
}

impl Engine {
    /// What runs there beyond what this cell gave out, where that is known now.
    fn foreign(&self, now: Timestamp, capacity: Capacity) -> Foreign {
        let Some(said) = self.said.filter(|said| now <= said.until) else {
            return Foreign::default();
        };
        let EngineFigures {
            running,
            waiting,
            kv_used,
        } = said.figures;
        let there = Capacity {
            requests: running.saturating_add(waiting),
            kv_tokens: kv_used.map_or(Tokens(0), |used| used.of(capacity.kv_tokens)),
        };
        let load = there.without(said.held);
        Foreign {
            load,
            waits: waiting > 0 && load.requests > 0,
        }
    }
}

impl ClusterCell {
    /// Engines have said something. One that has nothing to do has computed all that had reached it.
    pub(super) fn on_signals(&mut self, now: Timestamp, told: TellSignals) {
        if told.turn == self.signals.turn {
            let before = self.signals.begun - REACHES_WITHIN;
            for (replica, figures) in &told.read {
                if figures.running == 0 && figures.waiting == 0 {
                    self.sites.on_idle(now, replica, before);
                }
            }
        }
        self.signals.on_told(told, |replica| self.permits.held(replica));
    }

    /// What runs beyond what this cell gave out at each of the policy's replicas; empty where nothing does.
    pub(super) fn foreign(&self, now: Timestamp, known: &KnownPolicy) -> Vec<Foreign> {
        let capacity = known.policy.capacity;
        let engines = self.signals.engines.iter();
        let foreign = engines.map(|(name, engine)| (name, engine.foreign(now, capacity)));
        let foreign: Vec<_> = foreign.filter(|(_, foreign)| *foreign != Foreign::default()).collect();
        if foreign.is_empty() {
            return Vec::new();
        }
        let foreign = self.sites.align(foreign.iter().map(|(name, foreign)| (*name, foreign)));
        let of_site = |site: &usize| foreign.get(*site).copied().unwrap_or_default();
        known.sites.iter().map(of_site).collect()
    }

    /// What runs at a replica beyond what this cell gave out.
    pub(super) fn foreign_at(&self, now: Timestamp, replica: &ReplicaName, capacity: Capacity) -> Capacity {
        let engine = self.signals.engines.get(replica);
        engine.map_or(Capacity::default(), |engine| engine.foreign(now, capacity).load)
    }

    /// Whether something runs at a replica beyond what this cell gave out.
    pub(super) fn has_foreign(&self, now: Timestamp, replica: &ReplicaName, capacity: Capacity) -> bool {
        self.foreign_at(now, replica, capacity).requests > 0
    }

    /// How the cell stands with what the policy's replicas say.
    pub(super) fn signal_state(&self, now: Timestamp, known: &KnownPolicy) -> SignalState {
        let said = self.signals.engines.values().filter_map(|engine| engine.said);
        let fresh = said.filter(|said| now <= said.until).count();
        SignalState {
            is_due: now >= self.signals.next,
            stale: u32::try_from(known.sites.len().saturating_sub(fresh)).unwrap_or(u32::MAX),
        }
    }
}

/// From its permit to its engine a request takes so long at most, nearly always: as long as that is asked whether it is ready,
/// and a moment.
const REACHES_WITHIN: Duration = Duration::from_secs(3);
/// Where no engine has said anything, the next turn comes after so many times as long.
const SELDOM: u32 = 10;

#[cfg(test)]
mod tests;
