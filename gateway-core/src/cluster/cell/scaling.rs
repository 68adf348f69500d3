//! What a cluster's cell keeps for its advice on how many replicas there should be, and how it comes to the figures of which
//! that is made. Of whom it has heard nothing it supposes nothing: a cell that has begun anew goes on from what it advised last.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ClusterCell;
use crate::cluster::permit::Capacity;
use crate::cluster::policy::ClusterPolicy;
use crate::cluster::scaling::{
    Arrivals, Ended, Figures, History, LatencySketch, ReadScale, ReplicaCounts, Scale, ScalingPolicy, Served, Work,
    advise,
};
use crate::ids::ReplicaName;
use crate::time::Timestamp;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct Scaling {
    arrivals: Arrivals,
    /// Times to first token, by the slice of time in which they were told; the oldest first.
    first_tokens: VecDeque<(u64, LatencySketch)>,
    ended: Ended,
    history: History,
    cold_starts: ColdStarts,
    /// Those that were there when the advice was asked for last; `None` where it has not been.
    present: Option<BTreeSet<ReplicaName>>,
    /// When a place was asked for last, and there was none.
    asked: Timestamp,
}

/// How long replicas take to come, from the advice of them to their first sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct ColdStarts {
    /// When those were advised that have not come; the oldest first.
    awaited: VecDeque<Timestamp>,
    /// The mean, the newest weighing most, in milliseconds; 0 as long as none came.
    learned_ms: u64,
}

impl Scaling {
    /// Whether nothing of it is worth a record.
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// A request comes that the cluster has not been asked for before.
    pub fn on_arrival(&mut self, now: Timestamp, work: Work) {
        self.arrivals.on(now, work);
    }

    /// A place is asked for, and there is none.
    pub fn on_asked(&mut self, now: Timestamp) {
        self.asked = now;
    }

    /// A gateway tells what it has seen.
    pub fn on_served(&mut self, now: Timestamp, served: &Served) {
        self.arrivals.on(now, served.arrived);
        self.ended.add(served.ended);
        if served.first_tokens.is_empty() {
            return;
        }
        let slice = slice(now);
        match self.first_tokens.back_mut() {
            Some((at, sketch)) if *at >= slice => sketch.merge(&served.first_tokens),
            _ => self.first_tokens.push_back((slice, served.first_tokens.clone())),
        }
        self.forget_first_tokens(now);
    }

    fn forget_first_tokens(&mut self, now: Timestamp) {
        let oldest = slice(now).saturating_sub(WINDOW_SLICES);
        while self.first_tokens.front().is_some_and(|(at, _)| *at <= oldest) {
            self.first_tokens.pop_front();
        }
    }

    /// Nothing but what has to outlive a restart: what was advised last, and how long replicas take to come.
    pub fn lasting(&self) -> Self {
        Self {
            history: self.history.lasting(),
            cold_starts: ColdStarts {
                awaited: VecDeque::new(),
                learned_ms: self.cold_starts.learned_ms,
            },
            ..Self::default()
        }
    }
}

impl ColdStarts {
    fn learned(&self) -> Option<Duration> {
        (self.learned_ms > 0).then(|| Duration::from_millis(self.learned_ms))
    }

    /// So many are there that were not.
    fn on_came(&mut self, now: Timestamp, came: usize) {
        for _ in 0..came {
            let Some(advised) = self.awaited.pop_front() else { break };
            let took = u64::try_from(now.since(advised).as_millis()).unwrap_or(u64::MAX);
            let took = took.clamp(SHORTEST_START_MS, LONGEST_START_MS);
            self.learned_ms = match self.learned_ms {
                0 => took,
                learned => (learned * 3 + took) / 4,
            };
        }
    }

    /// So many are advised, and so many of them are not there.
    fn on_advised(&mut self, now: Timestamp, (before, desired): (u32, u32), missing: u32) {
        let more = desired.saturating_sub(before);
        let most = usize::try_from(missing).unwrap_or(usize::MAX).min(MOST_AWAITED);
        self.awaited.extend((0..more).map(|_| now));
        // Those that are not wanted any more do not come: the newest first.
        self.awaited.truncate(most);
    }
}

/// How a replica stands, for who counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Serving,
    Loading,
    Draining,
    Ill,
    Standby,
    Unknown,
}

impl ClusterCell {
    /// How many replicas there should be, and why.
    pub(super) fn scale(&mut self, now: Timestamp, read: &ReadScale) -> Scale {
        let ReadScale { policy, scaling } = read;
        self.scaling.arrivals.advance(now);
        self.scaling.forget_first_tokens(now);
        let standings: Vec<_> = policy
            .replicas
            .iter()
            .map(|name| (name, self.standing(now, name)))
            .collect();
        let present = standings.iter().filter(|(_, standing)| standing.is_present());
        let present: BTreeSet<ReplicaName> = present.map(|(name, _)| (*name).clone()).collect();
        let came = |before: &BTreeSet<ReplicaName>| present.difference(before).count();
        let came = self.scaling.present.as_ref().map_or(0, came);
        self.scaling.cold_starts.on_came(now, came);
        self.scaling.present = Some(present);
        let figures = self.figures(now, (policy, scaling), &standings);
        let counted = figures.replicas;
        let supposed = match counted.present() {
            // Nothing is known of any: they may all serve.
            0 if counted.standby == 0 => counted.unknown,
            present => present,
        };
        self.scaling.history.begin(now, supposed);
        let before = self.scaling.history.last().unwrap_or_default();
        let advice = advise(now, (&figures, policy.capacity), scaling, &mut self.scaling.history);
        // Those that drain go, and are not those that come.
        let missing = advice.desired.saturating_sub(counted.serving + counted.ill);
        self.scaling
            .cold_starts
            .on_advised(now, (before, advice.desired), missing);
        Scale { advice, figures }
    }

    fn figures(
        &self,
        now: Timestamp,
        (policy, scaling): (&ClusterPolicy, &ScalingPolicy),
        standings: &[(&ReplicaName, Standing)],
    ) -> Figures {
        let state = &self.scaling;
        let mut ttft = LatencySketch::default();
        state.first_tokens.iter().for_each(|(_, sketch)| ttft.merge(sketch));
        let cold_start = state.cold_starts.learned().unwrap_or(scaling.cold_start);
        let held = standings
            .iter()
            .map(|(name, _)| self.held_with_foreign(now, name, policy.capacity));
        let held = held.fold(Capacity::default(), |sum, held| sum + held);
        let serving = standings.iter().filter(|(_, standing)| *standing == Standing::Serving);
        let configured = policy.prefill.tokens_per_s;
        let speeds = serving.filter_map(|(name, _)| self.sites.get(self.sites.find(name)?));
        let speeds: Vec<_> = speeds.map(|site| f64::from(site.tokens_per_s(configured))).collect();
        let prefill_tokens_per_s = if speeds.is_empty() {
            f64::from(configured.max(1))
        } else {
            speeds.iter().sum::<f64>() / speeds.len() as f64
        };
        let replicas = count(standings);
        let arrival = state.arrivals.rates(Duration::ZERO);
        let share = |of: f64, each: f64| {
            let room = each * f64::from(replicas.serving + replicas.draining);
            if room > 0.0 { (of / room).min(1.0) } else { 0.0 }
        };
        Figures {
            replicas,
            ttft_p95: ttft.quantile(0.95),
            ttft_streams: ttft.len(),
            waiting: self.queue.demand(now),
            is_asked_for: state.asked > Timestamp::default() && now.since(state.asked) <= ASKED_LATELY,
            running: held.requests,
            running_tokens: held.kv_tokens,
            batch_fullness: share(held.requests.into(), policy.capacity.requests.into()),
            kv_cache_usage: share(held.kv_tokens.0 as f64, policy.capacity.kv_tokens.0 as f64),
            arrival,
            arrival_trend: state.arrivals.trend(),
            arrival_ahead: state.arrivals.rates(cold_start),
            prefill_tokens_per_s,
            decode_tokens_per_s: state.ended.tokens_per_s().unwrap_or(USUAL_TOKENS_PER_S),
            output_tokens: state.ended.tokens().unwrap_or_else(|| {
                // As is expected of those that come: what is not computed of their prompts counts as well.
                let tokens = (arrival.tokens_per_s - arrival.uncached_tokens_per_s).max(0.0);
                let of_one = tokens / arrival.requests_per_s;
                if of_one.is_finite() { of_one } else { 0.0 }
            }),
            cold_start,
        }
    }

    /// What runs at a replica, also of others, as far as its engine tells.
    fn held_with_foreign(&self, now: Timestamp, replica: &ReplicaName, capacity: Capacity) -> Capacity {
        let held = self.permits.held(replica);
        held + self.foreign_at(now, replica, capacity).at_most(capacity.without(held))
    }

    fn standing(&self, now: Timestamp, replica: &ReplicaName) -> Standing {
        let health = self.sites.find(replica).and_then(|site| self.sites.get(site));
        let health = health.map(|site| site.health).unwrap_or_default();
        let signal = self.signals.signal(now, replica);
        if self.drains.has(replica) && self.permits.held(replica).requests == 0 {
            // Whoever has it drain ends it, or keeps it from all that comes.
            Standing::Standby
        } else if self.drains.has(replica) {
            Standing::Draining
        } else if health.is_loading() {
            Standing::Loading
        } else if health.is_gone() {
            Standing::Standby
        } else if self.replicas.breaker(replica).is_out() {
            Standing::Ill
        } else if self.permits.held(replica).requests > 0 || signal.is_some_and(|signal| signal.is_fresh) {
            Standing::Serving
        } else if signal.is_some() {
            // It told its figures once, and does so no more.
            Standing::Standby
        } else if health.has_served() {
            Standing::Serving
        } else {
            Standing::Unknown
        }
    }

    /// What has to outlive a restart of what the advice is made of.
    pub fn lasting_scaling(&self) -> impl PartialEq + use<> {
        self.scaling.lasting()
    }
}

impl Standing {
    fn is_present(self) -> bool {
        match self {
            Self::Serving | Self::Draining | Self::Ill => true,
            // It has yet to come.
            Self::Loading | Self::Standby | Self::Unknown => false,
        }
    }
}

fn count(standings: &[(&ReplicaName, Standing)]) -> ReplicaCounts {
    let mut counts = ReplicaCounts::default();
    for (_, standing) in standings {
        let of = match standing {
            Standing::Serving => &mut counts.serving,
            Standing::Loading => &mut counts.loading,
            Standing::Draining => &mut counts.draining,
            Standing::Ill => &mut counts.ill,
            Standing::Standby => &mut counts.standby,
            Standing::Unknown => &mut counts.unknown,
        };
        *of += 1;
    }
    counts
}

/// The slice of time in which a moment is.
fn slice(now: Timestamp) -> u64 {
    now.as_secs() / SLICE_S
}

/// Times to first token are kept by slices of so many seconds,
const SLICE_S: u64 = 10;
/// and so many slices of them: the one that is not over, and a minute before it.
const WINDOW_SLICES: u64 = 7;
/// What one answer writes in a second, as long as nothing was measured: a 70B model on four H100 with 64 answers at once.
/// Source: the measurements that come with Splitwise (Patel et al., 2024).
const USUAL_TOKENS_PER_S: f64 = 19.0;
/// No replica comes sooner than this after it was advised,
const SHORTEST_START_MS: u64 = 1_000;
/// and one that takes longer came for another reason.
const LONGEST_START_MS: u64 = 3_600_000;
/// So many replicas are awaited at once.
const MOST_AWAITED: usize = 256;

/// Who is held for replicas asks again within seconds, and whoever was refused comes back.
const ASKED_LATELY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
