//! Which of a cluster's replicas may be sent to, and how much each, beyond what breakers learn from failures: one of which
//! nothing is heard is taken for wedged; one whose first events come far too late, while others' do not, for ill; one that
//! came back, or is new, is loaded slowly; and where all are out, the least bad one is tried. It goes by what requests tell,
//! and never asks a replica.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ClusterCell;
use super::policies::KnownPolicy;
use crate::cluster::breaker::Breaker;
use crate::cluster::message::Evidence;
use crate::cluster::permit::Capacity;
use crate::ids::ReplicaName;
use crate::time::Timestamp;

/// How one replica has done, as far as its breaker does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SiteHealth {
    /// When it should have been heard of, of what was sent there first since it was.
    silent_since: Option<Timestamp>,
    /// How many first events in a row came far too late.
    late: u32,
    /// Whether its engine was not there, as far as is known.
    is_gone: bool,
    /// Whether it said since then that it loads.
    is_loading: bool,
    /// Whether it has ever served.
    has_served: bool,
    /// When it came back, or was heard of for the first time.
    back_since: Option<Timestamp>,
}

impl SiteHealth {
    /// A request is sent there whose end the cell hears of, and whose answer should begin at that moment.
    pub fn on_sent(&mut self, begins: Timestamp) {
        self.silent_since.get_or_insert(begins);
    }

    /// It does something.
    pub fn on_sign_of_life(&mut self) {
        self.silent_since = None;
    }

    /// The first event of an answer came, far too late or not.
    pub fn on_first_event(&mut self, is_late: bool) {
        self.late = if is_late { self.late.saturating_add(1) } else { 0 };
        self.on_sign_of_life();
    }

    /// Its engine was not there.
    pub fn on_gone(&mut self) {
        (self.is_gone, self.is_loading) = (true, false);
    }

    /// Its engine was there, and said that it loads.
    pub fn on_loading(&mut self) {
        (self.is_gone, self.is_loading) = (true, true);
    }

    /// Whether its engine was not there, or not yet, as far as is known.
    pub fn is_gone(self) -> bool {
        self.is_gone
    }

    /// Whether its engine said that it loads, and nothing else since.
    pub fn is_loading(self) -> bool {
        self.is_loading
    }

    /// Whether it has served since the cell began.
    pub fn has_served(self) -> bool {
        self.has_served
    }

    /// It has served; whether its breaker was open before.
    pub fn on_served(&mut self, now: Timestamp, was_out: bool) {
        if self.is_gone && was_out {
            self.on_new(now);
        }
        (self.is_gone, self.is_loading, self.has_served) = (false, false, true);
    }

    /// There is nothing in its memory.
    pub fn on_new(&mut self, now: Timestamp) {
        self.back_since = Some(now);
    }

    /// What of its room may be used, in percent.
    fn share(self, now: Timestamp, slow_start: Duration) -> u8 {
        let Some(back_since) = self.back_since else { return 100 };
        let (passed, whole) = (now.since(back_since).as_millis(), slow_start.as_millis());
        let grown = (passed * u128::from(100 - FIRST_SHARE)).checked_div(whole);
        let grown = grown.and_then(|grown| u8::try_from(grown).ok());
        grown.map_or(100, |grown| grown.saturating_add(FIRST_SHARE).min(100))
    }
}

/// Which replicas of a policy may be sent to.
#[derive(Debug)]
pub(super) struct Usable {
    /// Of each whether it may.
    pub each: Vec<bool>,
    /// Whether all are out, so that it is the least bad one, if any.
    pub is_degraded: bool,
}

impl ClusterCell {
    /// A replica was not there, as far as that is what is told.
    pub(super) fn on_absent(&mut self, replica: &ReplicaName, evidence: &Evidence) {
        let Some(site) = self.site_mut(replica) else { return };
        match evidence {
            Evidence::Unreachable => site.health.on_gone(),
            Evidence::Loading => site.health.on_loading(),
            Evidence::Missed(_) => {}
        }
    }

    /// Which replicas may be sent to now. Where all are out, and nobody probes one, the one may that is tried next anyway,
    /// once it has been left alone for a moment.
    pub(super) fn usable(&self, now: Timestamp, known: &KnownPolicy) -> Usable {
        let replicas = &known.policy.replicas;
        if self.replicas.are_all_well() && self.drains.is_empty() {
            return Usable {
                each: vec![true; replicas.len()],
                is_degraded: false,
            };
        }
        let mut each: Vec<bool> = replicas.iter().map(|name| self.takes(now, name)).collect();
        let is_degraded = self.all_out(now, known);
        if is_degraded {
            let stay = replicas.iter().enumerate().filter(|(_, name)| !self.drains.has(name));
            let waits = stay.map(|(index, name)| (self.until_tried(now, known, name), index));
            if let Some((Duration::ZERO, index)) = waits.min() {
                each[index] = !replicas.iter().any(|name| self.is_probed(now, name));
            }
        }
        Usable { each, is_degraded }
    }

    /// How long until one of these may be sent to, where none may now.
    pub(super) fn recovery(&self, now: Timestamp, known: &KnownPolicy, tried: &[ReplicaName]) -> Option<Duration> {
        let replicas = &known.policy.replicas;
        let all_out = self.all_out(now, known);
        let is_any_probed = replicas.iter().any(|name| self.is_probed(now, name));
        let is_open_to = |name: &&ReplicaName| !tried.contains(name) && !self.drains.has(name);
        let untried = replicas.iter().filter(is_open_to);
        let waits = untried.filter_map(|name| {
            let recovery = self.replicas.recovery(now, name)?;
            let sooner = (all_out && !is_any_probed).then(|| self.until_tried(now, known, name));
            Some(sooner.map_or(recovery, |sooner| sooner.min(recovery)))
        });
        waits.min()
    }

    /// Whether all that do not drain are out, and there are any.
    fn all_out(&self, now: Timestamp, known: &KnownPolicy) -> bool {
        let mut stay = known
            .policy
            .replicas
            .iter()
            .filter(|name| !self.drains.has(name))
            .peekable();
        stay.peek().is_some() && stay.all(|name| !self.replicas.passes(now, name))
    }

    fn is_probed(&self, now: Timestamp, name: &ReplicaName) -> bool {
        match self.replicas.breaker(name) {
            Breaker::HalfOpen { until, .. } => now < until,
            Breaker::Open { .. } | Breaker::Closed { .. } => false,
        }
    }

    /// How long until a replica that is out is tried where all are.
    fn until_tried(&self, now: Timestamp, known: &KnownPolicy, name: &ReplicaName) -> Duration {
        let left = self.replicas.recovery(now, name).unwrap_or_default();
        let rest = known.policy.health.open.saturating_sub(LEFT_ALONE_FOR);
        left.saturating_sub(rest)
    }

    /// What a replica of a policy has room for now.
    pub(super) fn room(&self, now: Timestamp, known: &KnownPolicy, index: usize) -> Capacity {
        let policy = &known.policy;
        let site = known.sites.get(index).and_then(|site| self.sites.get(*site));
        let share = site.map_or(100, |site| site.health.share(now, policy.health.slow_start));
        policy.capacity.open_to(100 - share.min(100))
    }

    /// A permit there has ended. Of one that holds nothing any more nothing is to be heard.
    pub(super) fn on_ended_at(&mut self, replica: &ReplicaName) {
        let is_idle = self.permits.held(replica).requests == 0;
        if let (true, Some(site)) = (is_idle, self.site_mut(replica)) {
            site.health.on_sign_of_life();
        }
    }

    /// Leaves those alone of which nothing has been heard for too long, and whose engines say nothing new of themselves
    /// either: one that computes a very long prompt fills its kv_cache meanwhile.
    pub(super) fn sweep_wedged(&mut self, now: Timestamp) {
        let Some(in_force) = self.in_force().cloned() else {
            return;
        };
        let health = in_force.policy.health;
        for place in in_force.sites.iter().copied() {
            let Some(site) = self.sites.get(place) else { continue };
            let is_silent = |since| now.since(since) > health.wedged_after;
            if site.health.silent_since.is_some_and(is_silent)
                && !self.signals.has_moved(now, site.name(), now - health.wedged_after)
            {
                self.leave_alone(now, place, health.open);
            }
        }
    }

    /// Leaves one alone whose last few first events came far too late, where another's did not.
    pub(super) fn leave_if_late(&mut self, now: Timestamp, place: usize, open: Duration) {
        let late = |place: usize| self.sites.get(place).map_or(0, |site| site.health.late);
        let is_in_time = |other: usize| late(other) == 0 && self.sites.get(other).is_some_and(|site| site.is_known());
        let others = (0..self.sites.len()).filter(|other| *other != place);
        if late(place) >= LATE_IN_A_ROW && others.into_iter().any(is_in_time) {
            self.leave_alone(now, place, open);
            // One more is enough, that of the request which tries it.
            if let Some(site) = self.sites.get_mut(place) {
                site.health.late = LATE_IN_A_ROW - 1;
            }
        }
    }

    fn leave_alone(&mut self, now: Timestamp, place: usize, open: Duration) {
        let Some(site) = self.sites.get_mut(place) else { return };
        site.health.on_sign_of_life();
        site.health.late = 0;
        let name = site.name().clone();
        self.replicas.with_breaker(&name, |breaker| breaker.open(now + open));
    }
}

/// So many first events in a row that come far too late are no chance: as many as failures open a breaker where nobody says otherwise.
const LATE_IN_A_ROW: u32 = 3;
/// So long a replica is left alone where all are out, before it is tried.
const LEFT_ALONE_FOR: Duration = Duration::from_secs(1);
/// What a replica that came back has of its room at first, in percent.
const FIRST_SHARE: u8 = 10;

#[cfg(test)]
mod tests;
