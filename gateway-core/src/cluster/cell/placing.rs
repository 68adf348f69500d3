//! What a cell knows of its replicas where a prompt is to be placed, and what it learns when one has been.

use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::ClusterCell;
use super::policies::KnownPolicy;
use super::prefills::SentPrompt;
use super::shared::HotHere;
use super::site_set::SiteSet;
use super::sites::{Site, duration};
use crate::cluster::choice::{
    Basis, Candidate, Choice, ChoiceReason, CostParts, Hindrance, PassedOver, Placement, Standing, Warmth, choose,
    first_weighed, weights,
};
use crate::cluster::hot::{HotPrefix, HotSet};
use crate::cluster::message::Acquire;
use crate::cluster::permit::Capacity;
use crate::cluster::policy::PolicyRef;
use crate::cluster::signals::Foreign;
use crate::cluster::weighed::{Weighed, WeighedReplica};
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// What came of placing a request.
pub(super) struct Placed {
    /// Where it goes, or why it cannot go anywhere.
    pub choice: Result<Choice, PassedOver>,
    /// What of the prompt has to be computed wherever it goes, in tokens.
    pub uncached: u64,
    /// What was weighed, where that was asked for.
    pub weighed: Option<Box<Weighed>>,
}

impl ClusterCell {
    /// The policy that a command names, which is known from now on; `None` where it cannot be.
    pub(super) fn resolve(&mut self, now: Timestamp, policy: &PolicyRef) -> Option<Arc<KnownPolicy>> {
        let known = self.policies.resolve(policy);
        let (None, PolicyRef::Whole(whole)) = (&known, policy) else {
            return known;
        };
        let before = self.policies.replicas();
        self.policies.add(whole);
        self.find_sites();
        if !before.is_empty() {
            let news = whole.replicas.iter().filter(|name| !before.contains(*name));
            for name in news {
                if let Some(site) = self.sites.find(name).and_then(|site| self.sites.get_mut(site)) {
                    site.health.on_new(now);
                }
            }
        }
        let added = self.policies.resolve(policy)?;
        self.in_force.on_told(now, added.digest());
        Some(added)
    }

    /// The sites are the replicas of all known policies.
    pub(super) fn find_sites(&mut self) {
        let names = self.policies.replicas();
        let mut hasher = SipHasher13::new();
        for name in &names {
            hasher.write(name.as_str().as_bytes());
            hasher.write_u8(0);
        }
        let before = self.sites.set_names(names);
        self.policies.find_sites(|name| self.sites.find(name));
        let moved = |site: usize| before.iter().position(|before| *before == Some(site));
        self.recent.move_sites(moved);
        self.shared.move_sites(hasher.finish(), moved);
    }

    /// Chooses a replica for what is asked, of those that are not closed to it. What others have sent there takes room, and
    /// where something of theirs waits inside of an engine it gets nothing, as long as another replica has room beside that.
    /// Where none has, each counts as having what this cell knows of: engines that lie change the order, and stop nothing.
    /// What was weighed is told where that is asked for.
    pub(super) fn place(
        &self,
        now: Timestamp,
        acquire: &Acquire,
        known: &KnownPolicy,
        closed: impl Fn(usize) -> bool,
    ) -> Placed {
        let policy = &known.policy;
        let weights = acquire.affinity.map(|affinity| weights(affinity, &policy.replicas));
        let warmth = self.warmth(now, acquire, known, weights.as_deref());
        let held = self.held(known);
        let usable = self.usable(now, known);
        let foreign = self.foreign(now, known);
        let candidate = |(index, replica): (usize, &ReplicaName), counts_foreign: bool| {
            let site = known.sites.get(index).and_then(|place| self.sites.get(*place));
            let (held, configured) = (held[index], policy.prefill.tokens_per_s);
            let [queued, told] = [Site::queued, Site::queued_of_told]
                .map(|of| site.map_or(Duration::ZERO, |site| of(site, now, configured)));
            let tokens_per_s = site.map_or(configured, |site| site.tokens_per_s(configured));
            // What it has in memory would take as long elsewhere.
            let most_queued = policy.prefill.most_queued + duration(warmth[index].tokens.0, tokens_per_s);
            let Foreign { load, waits } = foreign.get(index).copied().unwrap_or_default();
            let room = self.room(now, known, index).open_to(acquire.headroom_percent);
            let standing = match self.out_for(acquire, replica, usable.each[index]) {
                Some(hindrance) => Standing::Passed(hindrance),
                None => Standing::within(room, held, acquire.kv_tokens),
            };
            let standing = match standing {
                // What is tried although all are out is no room.
                Standing::Free(_) if closed(index) && usable.is_degraded => Standing::Passed(Hindrance::Open),
                Standing::Free(_) if told > most_queued => Standing::Passed(Hindrance::Behind),
                Standing::Free(_) if closed(index) => Standing::Passed(Hindrance::OthersFirst),
                Standing::Free(_) if counts_foreign && waits => Standing::Passed(Hindrance::WaitsInside),
                Standing::Free(_) if counts_foreign => Standing::within(room, held + load, acquire.kv_tokens),
                // It answers later for it all the same.
                Standing::Free(_) => Standing::Free(held + load),
                passed @ Standing::Passed(_) => passed,
            };
            Candidate {
                standing,
                warmth: warmth[index],
                queued,
                tokens_per_s,
                last_cold: site.map_or(0, |site| site.last_cold),
            }
        };
        let place = |counts_foreign| {
            let replicas = policy.replicas.iter().enumerate();
            let candidates: Vec<_> = replicas.map(|replica| candidate(replica, counts_foreign)).collect();
            let placement = self.placement(acquire, known, weights.as_deref(), &candidates);
            let weigh = || Box::new(self.weigh((now, acquire, known), &placement, &candidates, &foreign));
            Placed {
                choice: choose(&placement, &candidates),
                uncached: uncached_anywhere(acquire, &warmth),
                weighed: acquire.explains.then(weigh),
            }
        };
        let mut placed = place(true);
        if placed.choice.is_err() && !foreign.is_empty() {
            placed = place(false);
        }
        if let (Ok(choice), true) = (&mut placed.choice, usable.is_degraded) {
            choice.reason = ChoiceReason::Degraded;
        }
        placed
    }

    fn placement<'w>(
        &self,
        acquire: &Acquire,
        known: &KnownPolicy,
        weights: Option<&'w [u64]>,
        candidates: &[Candidate],
    ) -> Placement<'w> {
        Placement {
            weights,
            tokens: prompt_tokens(acquire),
            max_running: known.policy.capacity.requests,
            warm_penalty: known.policy.prefill.warm_penalty,
            spread: self.spread(acquire, known, candidates),
        }
    }

    /// What was weighed, for who asks why.
    fn weigh(
        &self,
        (now, acquire, known): (Timestamp, &Acquire, &KnownPolicy),
        placement: &Placement<'_>,
        candidates: &[Candidate],
        foreign: &[Foreign],
    ) -> Weighed {
        let held = self.held(known);
        let configured = known.policy.prefill.tokens_per_s;
        let weighed = |(index, (replica, candidate)): (usize, (&ReplicaName, &Candidate))| {
            let place = known.sites.get(index).copied().unwrap_or(usize::MAX);
            let CostParts {
                total,
                prefill,
                step,
                uncached,
            } = placement.parts(candidate);
            WeighedReplica {
                replica: replica.clone(),
                hindrance: candidate.standing.hindrance(),
                first_token_in: total,
                queued: candidate.queued,
                queued_tokens: self
                    .sites
                    .get(place)
                    .map_or(Tokens(0), |site| site.queued_tokens(now, configured)),
                prefill,
                uncached,
                step,
                tokens_per_s: candidate.tokens_per_s,
                warm: candidate.warmth.tokens,
                basis: candidate.warmth.basis,
                held: held.get(index).copied().unwrap_or_default(),
                foreign: foreign.get(index).copied().unwrap_or_default().load,
                room: self.room(now, known, index).open_to(acquire.headroom_percent),
                breaker: self.replicas.breaker(replica).standing(),
                breaker_passes_in: self.replicas.recovery(now, replica),
                signal: self.signals.signal(now, replica),
            }
        };
        let replicas = known.policy.replicas.iter().zip(candidates).enumerate();
        Weighed::of(replicas.map(weighed).collect())
    }

    /// How long the hot prefix is that the prompt is to bring to one replica more, where nothing further of the prompt is in
    /// any memory. Either all that have it are busy, they are fewer than the share of requests that do, and computing it takes
    /// no longer than a warm replica may be slower; or all that have it run more than others: more than the mean by a quarter
    /// and one request. Source: consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016).
    fn spread(&self, acquire: &Acquire, known: &KnownPolicy, candidates: &[Candidate]) -> Option<Tokens> {
        let boundaries = &acquire.prompt.boundaries;
        let HotHere { tokens, warm, wanted } = self.shared.longest_hot(boundaries, candidates.len())?;
        if candidates.iter().any(|candidate| candidate.warmth.tokens > tokens) {
            return None;
        }
        let running = |candidate: &Candidate| match candidate.standing {
            Standing::Free(held) => Some(u64::from(held.requests)),
            Standing::Passed(_) => None,
        };
        let all = candidates.iter().filter_map(running);
        let (sum, count) = all.fold((0, 0), |(sum, count), running| (sum + running, count + 1));
        let is_warm = |index: &usize| known.sites.get(*index).is_some_and(|site| warm.contains(*site));
        let of_warm = (0..candidates.len()).filter(is_warm);
        let least = of_warm.filter_map(|index| running(&candidates[index])).min()?;
        let prefill = &known.policy.prefill;
        let is_short = duration(tokens.0, prefill.tokens_per_s) <= prefill.warm_penalty;
        let is_wanted = warm.len() < wanted && least >= BUSY && is_short;
        (is_wanted || least * count * 4 > sum * 5 + count * 4).then_some(tokens)
    }

    /// What each of the policy's replicas holds.
    pub(super) fn held(&self, known: &KnownPolicy) -> Vec<Capacity> {
        let held = self.sites.align(self.permits.held_by_replica());
        let of_site = |site: &usize| held.get(*site).copied().unwrap_or_default();
        known.sites.iter().map(of_site).collect()
    }

    /// Why a replica gets no request whatever room it has, where that is so.
    fn out_for(&self, acquire: &Acquire, replica: &ReplicaName, is_usable: bool) -> Option<Hindrance> {
        if acquire.tried.contains(replica) {
            Some(Hindrance::Tried)
        } else if self.drains.has(replica) {
            Some(Hindrance::Draining)
        } else {
            (!is_usable).then_some(Hindrance::Open)
        }
    }

    /// What each of the policy's replicas has of the prompt.
    pub(super) fn warmth(
        &self,
        now: Timestamp,
        acquire: &Acquire,
        known: &KnownPolicy,
        weights: Option<&[u64]>,
    ) -> Vec<Warmth> {
        let prompt = &acquire.prompt;
        let mut by_site = vec![Warmth::default(); self.sites.len()];
        let warm = |basis, tokens: Tokens| Warmth {
            tokens: tokens.min(prompt.tokens),
            basis,
        };
        self.shared.each_warm(&prompt.boundaries, |site, tokens| {
            if let Some(at) = by_site.get_mut(site) {
                at.raise(warm(Basis::Shared, tokens));
            }
        });
        let has = |site: usize, used: Timestamp| self.sites.has(site, used);
        let mut is_known = false;
        for found in self.recent.find(&prompt.boundaries, has) {
            let basis = if found.goes_on { Basis::Known } else { Basis::Shared };
            is_known |= found.goes_on;
            if let Some(at) = by_site.get_mut(found.site) {
                at.raise(warm(basis, found.tokens));
            }
        }
        let of_site = |site: &usize| by_site.get(*site).copied().unwrap_or_default();
        let mut warmth: Vec<_> = known.sites.iter().map(of_site).collect();
        for told in &prompt.warm {
            // Who tells counts in whole seconds.
            let used = now - told.ago + Duration::from_secs(1);
            let has = |replica: &usize| {
                self.sites
                    .has(known.sites.get(*replica).copied().unwrap_or(usize::MAX), used)
            };
            let mut replicas = known.policy.replicas.iter();
            let replica = replicas.position(|replica| *replica == told.replica).filter(has);
            if let Some(at) = replica.and_then(|replica| warmth.get_mut(replica)) {
                at.raise(warm(Basis::Known, told.tokens));
                is_known = true;
            }
        }
        if !is_known && prompt.presumed > Tokens(0) {
            let first = weights.and_then(|weights| self.stateless_choice(acquire, known, weights));
            if let Some(at) = first.and_then(|first| warmth.get_mut(first)) {
                at.raise(warm(Basis::Presumed, prompt.presumed));
            }
        }
        warmth
    }

    /// The replica that who asks would choose alone, as [`stateless_choice`](crate::cluster::stateless_choice) does.
    fn stateless_choice(&self, acquire: &Acquire, known: &KnownPolicy, weights: &[u64]) -> Option<usize> {
        let hot = self.shared.longest_hot(&acquire.prompt.boundaries, known.sites.len());
        let hot = hot.map_or_else(SiteSet::default, |hot| hot.warm);
        let is_warm = |index: &usize| known.sites.get(*index).is_some_and(|site| hot.contains(*site));
        first_weighed(weights, is_warm).or_else(|| first_weighed(weights, |_| true))
    }

    /// A prompt is sent where it was decided.
    pub(super) fn on_placed(&mut self, now: Timestamp, acquire: &Acquire, known: &KnownPolicy, choice: &Choice) {
        let Some(site) = known.sites.get(choice.replica).copied() else {
            return;
        };
        let (prompt, policy) = (&acquire.prompt, &known.policy);
        // What is only presumed to be there has to be computed, as far as others are to know.
        let is_presumed = choice.reason == ChoiceReason::Presumed;
        let warm = if is_presumed { 0 } else { choice.warm.0 };
        let uncached = prompt.tokens.0.saturating_sub(warm);
        let is_cold = choice.warm.0 < uncached;
        let configured = policy.prefill.tokens_per_s;
        let sent = SentPrompt {
            permit: acquire.permit,
            key: prompt.boundaries.last().map(|last| last.key),
            uncached,
        };
        self.sites.on_sent(now, site, sent, is_cold, configured);
        if let Some(memory) = self.sites.memory_mut(site) {
            let new = acquire.kv_tokens.0.saturating_sub(warm);
            if memory.on_sent(now, new, policy.capacity.kv_tokens.0) {
                self.shared.on_turned(site);
            }
            self.recent.on_sent(memory.mark(now), &prompt.boundaries, site);
        }
        self.shared
            .on_sent(&prompt.boundaries, acquire.kv_tokens, site, policy.replicas.len());
    }

    /// The hot prefixes, where who asks has a use for them and knows of others.
    pub(super) fn news_of_hot(&self, acquire: &Acquire) -> Option<HotSet> {
        let digest = self.shared.hot_digest();
        if acquire.known_hot == digest || acquire.prompt.boundaries.is_empty() {
            return None;
        }
        let names = |warm: SiteSet| {
            let sites = warm.iter().filter_map(|site| self.sites.get(site));
            sites.map(|site| site.name().clone()).collect()
        };
        let hot = self.shared.hot().into_iter();
        let prefixes = hot.map(|(key, warm)| HotPrefix { key, warm: names(warm) });
        Some(HotSet {
            digest,
            prefixes: prefixes.collect(),
        })
    }
}

/// What of the prompt has to be computed wherever it goes, in tokens, where replicas have that much of it.
pub(super) fn uncached_anywhere(acquire: &Acquire, warmth: &[Warmth]) -> u64 {
    let warmest = warmth.iter().map(|warmth| warmth.tokens).max();
    let warm = warmest.unwrap_or_default().max(acquire.prompt.presumed);
    prompt_tokens(acquire).0.saturating_sub(warm.0)
}

/// The prompt's tokens. Who does not tell them has told how much kv_cache the request takes.
fn prompt_tokens(acquire: &Acquire) -> Tokens {
    match acquire.prompt.tokens {
        Tokens(0) => acquire.kv_tokens,
        tokens => tokens,
    }
}

/// Who runs so many requests is busy: the next one decodes together with others.
const BUSY: u64 = 2;

#[cfg(test)]
mod tests;
