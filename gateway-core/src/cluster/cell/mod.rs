//! The cluster cell: in-flight requests and kv_cache of every replica, counted when a request is dispatched and not
//! when an engine reports it. Figures of the moment only: permits that nobody renews expire, and a cell that was
//! restarted learns running permits again from their renewals.
//!
//! Where a replica has plenty of room and has not failed lately, a permit may be kept for request after request, and
//! hold slots for some more: what is lent so is counted from the moment that it is lent, so that no replica ever has
//! more than it has room for.

mod drains;
mod health;
mod in_force;
mod memory;
mod permits;
mod placing;
mod policies;
mod prefills;
mod prefix_map;
mod queue;
mod recent;
mod replicas;
mod scaling;
mod shared;
mod signals;
mod site_set;
mod sites;
mod speed;
mod turnover;
mod v3;
mod waiting;
mod watched;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::drains::Drains;
use self::in_force::InForce;
use self::permits::PermitTable;
use self::placing::Placed;
use self::policies::{KnownPolicy, Policies};
use self::queue::WaitingQueue;
use self::recent::RecentPrompts;
use self::replicas::Replicas;
use self::scaling::Scaling;
use self::shared::SharedPrefixes;
use self::signals::SignalTable;
use self::sites::{Site, Sites};
pub(crate) use self::v3::ClusterCellV3;
use self::waiting::Unplaced;
use self::watched::Watched;
use super::breaker::BreakerPolicy;
use super::choice::Choice;
use super::message::{
    Acquire, ClusterCommand, ClusterReply, DryRun, Evidence, Expectation, Extend, Extended, Forgotten, Grant,
    Prefilled, Release, Releases, Renew, ReplicaStatus,
};
use super::permit::{Capacity, ClusterLoad, HeldPermit, Outcome, PermitId};
use super::scaling::{Served, Work};
use super::weighed::Weighed;
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// The state of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterCell {
    permits: PermitTable,
    replicas: Replicas,
    policies: Policies,
    sites: Sites,
    shared: SharedPrefixes,
    recent: RecentPrompts,
    queue: WaitingQueue,
    #[serde(default)]
    in_force: InForce,
    #[serde(default)]
    drains: Drains,
    #[serde(default)]
    signals: SignalTable,
    #[serde(default)]
    scaling: Scaling,
    #[serde(default)]
    watched: Watched,
}

impl ClusterCell {
    /// Runs one command. What is only to be tried is run on a copy: it goes as it would go, and changes nothing here.
    pub fn apply(&mut self, now: Timestamp, command: ClusterCommand) -> ClusterReply {
        if matches!(command, ClusterCommand::DryRun(_)) {
            return self.clone().run(now, command);
        }
        self.run(now, command)
    }

    fn run(&mut self, now: Timestamp, command: ClusterCommand) -> ClusterReply {
        self.sweep(now);
        self.drains.on_asked(now);
        self.end_leaves(now);
        let reply = match command {
            ClusterCommand::Acquire(acquire) | ClusterCommand::DryRun(DryRun(acquire)) => self.acquire(now, acquire),
            ClusterCommand::Extend(extend) => self.extend(now, extend),
            ClusterCommand::Renew(Renew { held, ttl }) => {
                self.renew(now, held, ttl);
                ClusterReply::Done
            }
            ClusterCommand::Release(Releases {
                releases,
                breaker,
                prefilled,
                forgotten,
                served,
            }) => {
                if let Some(served) = served {
                    self.on_served(now, &served);
                }
                for prefilled in &prefilled {
                    self.on_prefilled(now, prefilled, breaker);
                }
                for Forgotten { replica, evidence } in &forgotten {
                    self.on_forgotten(now, replica, evidence);
                    self.on_absent(replica, evidence);
                }
                for release in &releases {
                    self.release(now, release, breaker);
                }
                ClusterReply::Done
            }
            ClusterCommand::Status => ClusterReply::Status(self.status(now)),
            ClusterCommand::Queue => ClusterReply::Queue(self.queue.status(now)),
            ClusterCommand::Drain(set) => self.set_drain(now, set),
            ClusterCommand::Scale(read) => ClusterReply::Scale(Box::new(self.scale(now, &read))),
            ClusterCommand::AskForTurn(ask) => {
                let held = |replica: &ReplicaName| self.permits.held(replica);
                ClusterReply::PollTurn(self.signals.take_turn(now, &ask, &self.sites, held))
            }
            ClusterCommand::TellSignals(told) => {
                self.on_signals(now, told);
                ClusterReply::Done
            }
        };
        debug_assert_eq!(self.check_invariants(), Ok(()));
        reply
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.permits.check_invariants()?;
        self.sites
            .check_invariants(|permit| self.permits.replica(permit).cloned())?;
        self.recent.check_invariants(self.sites.len())?;
        self.queue.check_invariants()?;
        if let Some((id, _)) = self.permits.iter().find(|(id, _)| self.queue.get(*id).is_some()) {
            return Err(format!("{id:?} is held, and waits"));
        }
        self.shared.check_invariants()
    }

    fn acquire(&mut self, now: Timestamp, mut acquire: Acquire) -> ClusterReply {
        let Some(named) = self.resolve(now, &acquire.policy) else {
            return ClusterReply::PolicyUnknown;
        };
        let known = self.ask_under(now, &acquire, named);
        if let Some(replica) = self.permits.replica(acquire.permit) {
            return self.grant_again(now, replica, acquire.permit, &known);
        }
        if self.queue.take_evicted(acquire.permit) {
            return self.refuse_evicted(now, &known);
        }
        let was_waiting = self.queue.get(acquire.permit).is_some();
        let turn = self.turn(now, &acquire, &known);
        let placed = match &turn {
            Some(turn) => {
                acquire.headroom_percent = turn.headroom_percent;
                let is_closed = |index| turn.closed.get(index) == Some(&true);
                self.place(now, &acquire, &known, is_closed)
            }
            None => self.place(now, &acquire, &known, |_| true),
        };
        let Placed {
            choice,
            uncached,
            weighed,
        } = placed;
        if acquire.is_new && !was_waiting {
            self.scaling.on_arrival(now, Work::of_one(uncached, acquire.kv_tokens));
        }
        match choice {
            Ok(choice) => self.grant((now, &acquire), &known, &choice, weighed),
            Err(passed_over) => {
                let unplaced = Unplaced {
                    passed_over,
                    weighed,
                    was_waiting,
                };
                self.wait(now, &acquire, &known, unplaced)
            }
        }
    }

    /// The reply to the first asking was lost, most likely: who asks renews no more than its own slot. It may have arrived
    /// all the same, so that nothing of the permit can be taken back here.
    fn grant_again(
        &self,
        now: Timestamp,
        replica: &ReplicaName,
        permit: PermitId,
        known: &KnownPolicy,
    ) -> ClusterReply {
        ClusterReply::Granted(Grant {
            replica: replica.clone(),
            lent: None,
            load: self.load(now, known),
            choice: None,
            expected: None,
            is_probe: self.replicas.breaker(replica).is_probed_by(permit),
            hot: None,
            knows_policy: true,
            weighed: None,
        })
    }

    fn grant(
        &mut self,
        (now, acquire): (Timestamp, &Acquire),
        known: &KnownPolicy,
        choice: &Choice,
        weighed: Option<Box<Weighed>>,
    ) -> ClusterReply {
        let policy = &*known.policy;
        self.queue.go(now, acquire.permit);
        let replica = policy.replicas[choice.replica].clone();
        let one = Capacity::of_one(acquire.kv_tokens);
        let room = self.room(now, known, choice.replica).open_to(acquire.headroom_percent);
        let is_idle = self.sites.is_idle(now, &replica, policy.prefill.tokens_per_s);
        let lent = self.lendable(now, &replica, one, room).filter(|_| is_idle);
        let lent = lent.map(|most| acquire.spare.min(most.count_of(one)));
        let held = HeldPermit {
            permit: acquire.permit,
            replica: replica.clone(),
            capacity: one.times(1 + lent.unwrap_or_default()),
        };
        self.hold(now, held, acquire.ttl);
        self.replicas.on_pass(now, &replica, acquire.permit);
        self.on_placed(now, acquire, known, choice);
        // Of requests under a permit that is kept the cell hears only when they fail.
        if let (None, Some(site)) = (lent, self.site_mut(&replica)) {
            site.health.on_sent(now + choice.first_token_in);
        }
        ClusterReply::Granted(Grant {
            is_probe: self.replicas.breaker(&replica).is_probed_by(acquire.permit),
            replica,
            hot: self.news_of_hot(acquire),
            lent,
            load: self.load(now, known),
            choice: Some(choice.reason),
            expected: Some(Expectation {
                warm: choice.warm,
                first_token_in: choice.first_token_in,
            }),
            knows_policy: true,
            weighed,
        })
    }

    fn extend(&mut self, now: Timestamp, extend: Extend) -> ClusterReply {
        let Some(named) = self.resolve(now, &extend.policy) else {
            return ClusterReply::PolicyUnknown;
        };
        let known = self.bound(named);
        let policy = &*known.policy;
        self.renew(now, extend.held, extend.ttl);
        if let Some(served) = &extend.served {
            self.on_served(now, served);
        }
        // Who goes on lending has had no failure there.
        if let Some(site) = self.site_mut(&extend.replica) {
            site.health.on_sign_of_life();
        }
        let index = policy.replicas.iter().position(|name| *name == extend.replica);
        let room = index.map_or(policy.capacity, |index| self.room(now, &known, index));
        let lendable = self.lendable(now, &extend.replica, Capacity::default(), room);
        let is_idle = self.sites.is_idle(now, &extend.replica, policy.prefill.tokens_per_s);
        ClusterReply::Extended(Extended {
            lends: lendable.is_some() && is_idle,
            load: self.load(now, &known),
            knows_policy: true,
        })
    }

    fn renew(&mut self, now: Timestamp, held: Vec<HeldPermit>, ttl: Duration) {
        for held in held {
            self.queue.leave(held.permit);
            self.hold(now, held, ttl);
        }
    }

    fn hold(&mut self, now: Timestamp, held: HeldPermit, ttl: Duration) {
        let replica = held.replica.clone();
        self.permits.hold(now, held, ttl);
        self.signals.on_held(&replica, self.permits.held(&replica));
    }

    fn release(&mut self, now: Timestamp, release: &Release, policy: BreakerPolicy) {
        let permit = release.permit;
        let held_at = match release.left {
            Some(left) => self.permits.shrink(permit, left),
            None => self.permits.free(permit),
        };
        if release.left.is_none() {
            self.queue.leave(permit);
        }
        let is_gone = release.left.is_none_or(|left| left.requests == 0);
        if let Some(replica) = held_at.as_ref().filter(|_| is_gone) {
            self.sites.on_ended(now, replica, permit);
            self.on_ended_at(replica);
        }
        // A permit that expired meanwhile still tells how its replica did.
        let replica = held_at.as_ref().or(release.replica.as_ref());
        if let (true, Some(site)) = (release.is_sign_of_life(), replica.and_then(|name| self.site_mut(name))) {
            site.health.on_sign_of_life();
        }
        if !release.tells_outcome() {
            return;
        }
        if let Some(replica) = replica {
            let was_out = self.replicas.breaker(replica).is_out();
            self.replicas.with_breaker(replica, |breaker| {
                if release.served_before {
                    breaker.on_outcome(now, permit, Outcome::Served, policy);
                }
                breaker.on_outcome(now, permit, release.outcome, policy);
            });
            let is_out = self.replicas.breaker(replica).is_out();
            if let (Outcome::Served, false, Some(site)) = (release.outcome, is_out, self.site_mut(replica)) {
                site.health.on_served(now, was_out);
            }
            if release.outcome == Outcome::Failed && !self.replicas.passes(now, replica) {
                // It comes back with nothing in memory, most likely.
                self.on_forgotten(now, replica, &Evidence::Unreachable);
            }
        }
    }

    /// A prompt keeps its replica no longer.
    fn on_prefilled(&mut self, now: Timestamp, prefilled: &Prefilled, breaker: BreakerPolicy) {
        let Some((prompt, site)) = self.sites.on_prefilled(now, prefilled) else {
            return;
        };
        self.leave_if_late(now, site, breaker.open);
        if let Some(prompt) = prompt {
            self.recent.on_computed(prompt, site);
        }
    }

    /// A gateway tells what else it has seen.
    fn on_served(&mut self, now: Timestamp, served: &Served) {
        self.scaling.on_served(now, served);
        self.on_watched(now, &served.watched);
    }

    fn site_mut(&mut self, replica: &ReplicaName) -> Option<&mut Site> {
        self.sites.get_mut(self.sites.find(replica)?)
    }

    /// Frees the permits that nobody renewed.
    fn sweep(&mut self, now: Timestamp) {
        self.sites.sweep(now);
        self.queue.sweep(now);
        self.sweep_wedged(now);
        for (permit, replica) in self.permits.sweep(now) {
            self.sites.on_ended(now, &replica, permit);
            self.on_ended_at(&replica);
            self.replicas.with_breaker(&replica, |breaker| {
                breaker.on_outcome(now, permit, Outcome::Unknown, UNUSED_POLICY);
            });
        }
    }

    /// Whether permits at a replica may be kept: it takes many requests like `more`, is at most half full with that in
    /// it, is not known to have failed and does not drain, nobody waits for it, and nobody else asks it either. Then what is
    /// left of the half.
    fn lendable(&self, now: Timestamp, replica: &ReplicaName, more: Capacity, room: Capacity) -> Option<Capacity> {
        let is_roomy = room.requests >= MANY && more.kv_tokens.0.saturating_mul(MANY.into()) <= room.kv_tokens.0;
        let half = Capacity {
            requests: room.requests / 2,
            kv_tokens: Tokens(room.kv_tokens.0 / 2),
        };
        let held = self.permits.held(replica) + more;
        let is_well = self.replicas.is_well(replica) && !self.drains.has(replica);
        let is_free = self.queue.is_empty() && !self.has_foreign(now, replica, room);
        let is_lendable = is_roomy && half.holds(held) && is_well && is_free;
        is_lendable.then(|| half.without(held))
    }

    fn load(&self, now: Timestamp, known: &KnownPolicy) -> ClusterLoad {
        let mut load = ClusterLoad::default();
        let Capacity { requests, kv_tokens } = known.policy.capacity;
        let foreign = self.foreign(now, known);
        let replicas = known.policy.replicas.iter().zip(self.held(known)).enumerate();
        for (index, (_, held)) in replicas.filter(|(_, (replica, _))| self.takes(now, replica)) {
            let foreign = foreign.get(index).copied().unwrap_or_default().load;
            // Foreign load takes the room that there is, and no more.
            let taken = held + foreign.at_most(known.policy.capacity.without(held));
            load.running += taken.requests;
            load.max_running = load.max_running.saturating_add(requests);
            load.kv_tokens += taken.kv_tokens;
            load.kv_cache_tokens += kv_tokens;
        }
        load.signals = self.signal_state(now, known);
        if !self.queue.is_empty() {
            load.expected_wait = self.queue.status(now).expected;
        }
        load
    }

    /// Every replica that holds anything, is known to have failed or to have given faulty answers, or drains.
    fn known_replicas(&self) -> BTreeSet<&ReplicaName> {
        let known = self.permits.replicas().chain(self.replicas.names());
        known.chain(self.drains.names()).chain(self.watched.names()).collect()
    }

    fn status(&self, now: Timestamp) -> Vec<ReplicaStatus> {
        let mut replicas = self.known_replicas();
        replicas.extend(self.signals.heard_of());
        let known = replicas.into_iter();
        known.map(|replica| self.status_of(now, replica)).collect()
    }

    fn status_of(&self, now: Timestamp, replica: &ReplicaName) -> ReplicaStatus {
        let held = self.permits.held(replica);
        ReplicaStatus {
            replica: replica.clone(),
            running: held.requests,
            kv_tokens: held.kv_tokens,
            available: self.replicas.passes(now, replica),
            breaker: self.replicas.breaker(replica).standing(),
            breaker_passes_in: self.replicas.recovery(now, replica),
            drain: self.drain_status(now, replica),
            signal: self.signals.signal(now, replica),
            watched: self.watched.status(now, replica),
        }
    }
}

/// So many requests at once a replica must have room for if permits there are to be kept: of few slots none can lie
/// idle.
const MANY: u32 = 16;
/// An unknown outcome never opens a breaker, so that no policy is looked at.
const UNUSED_POLICY: BreakerPolicy = BreakerPolicy {
    failures: 1,
    open: Duration::ZERO,
};

#[cfg(test)]
mod tests;
