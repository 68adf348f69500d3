//! How busy each replica is with prompts, and how fast it computes them. A site is a replica of a known policy; it goes by
//! its place among all of them, in the order of their names.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::health::SiteHealth;
use super::prefills::{Prefill, PrefillQueue, SentPrompt};
use super::speed::SpeedSamples;
use super::turnover::Turnover;
use crate::cluster::message::Prefilled;
use crate::cluster::permit::PermitId;
use crate::ids::{PrefixKey, ReplicaName, Tokens};
use crate::time::Timestamp;

/// All sites, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct Sites {
    sites: Vec<Site>,
    /// How many prompts have been placed that were cold there.
    cold: u64,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Site {
    name: ReplicaName,
    #[serde(default, skip_serializing_if = "PrefillQueue::is_empty")]
    queue: PrefillQueue,
    #[serde(default, skip_serializing_if = "SpeedSamples::is_empty")]
    speed: SpeedSamples,
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory: Turnover,
    #[serde(default, skip_serializing_if = "is_default")]
    pub health: SiteHealth,
    /// The number of the last cold prompt that was placed here.
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_cold: u64,
}

impl Sites {
    /// The replicas are these from now on. Gives where each site was before.
    pub fn set_names(&mut self, names: impl IntoIterator<Item = ReplicaName>) -> Vec<Option<usize>> {
        let before = std::mem::take(&mut self.sites);
        let place = |name: &ReplicaName| before.binary_search_by(|site| site.name.cmp(name)).ok();
        let names: Vec<_> = names.into_iter().collect();
        let places: Vec<_> = names.iter().map(place).collect();
        let sites = names.into_iter().zip(&places).map(|(name, place)| match place {
            Some(place) => before[*place].clone(),
            None => Site::new(name),
        });
        self.sites = sites.collect();
        places
    }

    /// Where a replica stands.
    pub fn find(&self, name: &ReplicaName) -> Option<usize> {
        self.sites.binary_search_by(|site| site.name.cmp(name)).ok()
    }

    /// The site at that place.
    pub fn get(&self, site: usize) -> Option<&Site> {
        self.sites.get(site)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, site: usize) -> Option<&mut Site> {
        self.sites.get_mut(site)
    }

    /// Its memory, to change it.
    pub fn memory_mut(&mut self, site: usize) -> Option<&mut Turnover> {
        self.sites.get_mut(site).map(|site| &mut site.memory)
    }

    /// Whether a site may have in memory what was last used there at that moment.
    pub fn has(&self, site: usize, used: Timestamp) -> bool {
        self.get(site).is_some_and(|site| site.memory.has(used))
    }

    /// Their replicas, in order.
    pub fn names(&self) -> impl Iterator<Item = &ReplicaName> {
        self.sites.iter().map(|site| &site.name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sites.len()
    }

    /// What of a list that is in the order of names belongs to each site.
    pub fn align<'a, T: Copy + Default + 'a>(&self, named: impl Iterator<Item = (&'a ReplicaName, &'a T)>) -> Vec<T> {
        let mut named = named.peekable();
        let mut of_site = |site: &Site| {
            while named.next_if(|(name, _)| **name < site.name).is_some() {}
            let found = named.next_if(|(name, _)| **name == site.name);
            found.map(|(_, value)| *value).unwrap_or_default()
        };
        self.sites.iter().map(&mut of_site).collect()
    }

    /// A prompt is sent to a site; most of it is computed there, where it is cold.
    pub fn on_sent(&mut self, now: Timestamp, site: usize, prompt: SentPrompt, is_cold: bool, configured: u32) {
        let Some(at) = self.sites.get_mut(site) else { return };
        at.queue.push(now, prompt, at.speed.tokens_per_s(configured));
        if is_cold {
            self.cold += 1;
            at.last_cold = self.cold;
        }
    }

    /// What is known to be computed leaves the queues, by now.
    pub fn sweep(&mut self, now: Timestamp) {
        for site in &mut self.sites {
            site.queue.sweep(now);
        }
    }

    /// Holders tell that a prompt keeps its replica no longer. Gives which, and at which site, where that has computed it.
    pub fn on_prefilled(&mut self, now: Timestamp, prefilled: &Prefilled) -> Option<(Option<PrefixKey>, usize)> {
        let place = self.find(&prefilled.replica)?;
        let site = self.sites.get_mut(place)?;
        let prefill = site.queue.remove(now, prefilled.permit);
        let took = prefilled.took?;
        // One that is not there any more was waited for four times as long as it should have taken (`prefills.rs`).
        site.health.on_first_event(prefill.is_none() && took >= LEAST_LATE);
        let Some(prefill) = prefill else {
            return Some((None, place));
        };
        // Engines compute several prompts in one step, and answer them together: of those the time of each is unknown.
        if prefill.was_alone() {
            site.speed.on_prefilled(prefill.work, took);
        }
        Some((prefill.prompt, place))
    }

    /// A replica's engine has nothing to do any more of what was sent there before that moment. Prompts of a gateway that was
    /// killed are found out so.
    pub fn on_idle(&mut self, now: Timestamp, replica: &ReplicaName, before: Timestamp) {
        let site = self.find(replica).and_then(|site| self.sites.get_mut(site));
        if let Some(site) = site {
            site.queue.forget_before(now, before);
        }
    }

    /// A permit has ended.
    pub fn on_ended(&mut self, now: Timestamp, replica: &ReplicaName, permit: PermitId) {
        let site = self.find(replica).and_then(|site| self.sites.get_mut(site));
        if let Some(site) = site {
            site.queue.remove(now, permit);
        }
    }

    /// Whether a site's prompts leave it time for requests that nobody asks the cell about.
    pub fn is_idle(&self, now: Timestamp, replica: &ReplicaName, configured: u32) -> bool {
        let site = self.find(replica).and_then(|site| self.sites.get(site));
        site.is_none_or(|site| site.queue.left(now, site.tokens_per_s(configured)) <= LENT_WHILE_QUEUED)
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self, held_at: impl Fn(PermitId) -> Option<ReplicaName>) -> Result<(), String> {
        if !self.sites.is_sorted_by(|one, next| one.name < next.name) {
            return Err("sites are out of order".to_owned());
        }
        for site in &self.sites {
            site.queue.check_invariants()?;
            let stray = |prefill: &&Prefill| held_at(prefill.permit).as_ref() != Some(&site.name);
            if let Some(stray) = site.queue.iter().find(stray) {
                return Err(format!("{stray:?} is queued at {}, and not held there", site.name));
            }
        }
        Ok(())
    }
}

impl Site {
    fn new(name: ReplicaName) -> Self {
        Self {
            name,
            queue: PrefillQueue::default(),
            speed: SpeedSamples::default(),
            memory: Turnover::default(),
            health: SiteHealth::default(),
            last_cold: 0,
        }
    }

    /// Its replica.
    pub fn name(&self) -> &ReplicaName {
        &self.name
    }

    /// Whether anything is known of how fast it is.
    pub fn is_known(&self) -> bool {
        !self.speed.is_empty()
    }

    /// How fast it computes prompts, where the configuration says so much: uncached tokens in a second.
    pub fn tokens_per_s(&self, configured: u32) -> u32 {
        self.speed.tokens_per_s(configured)
    }

    /// What is queued there and not computed yet, in uncached prompt tokens.
    pub fn queued_tokens(&self, now: Timestamp, configured: u32) -> Tokens {
        Tokens(self.queue.left(now, self.tokens_per_s(configured)))
    }

    /// How long prompts keep it whose holders say when they are computed. Of shorter ones nobody learns how fast it is.
    pub fn queued_of_told(&self, now: Timestamp, configured: u32) -> Duration {
        let tokens_per_s = self.tokens_per_s(configured);
        duration(self.queue.told_left(now, tokens_per_s), tokens_per_s)
    }

    /// How long what is queued keeps it.
    pub fn queued(&self, now: Timestamp, configured: u32) -> Duration {
        duration(self.queued_tokens(now, configured).0, self.tokens_per_s(configured))
    }
}

/// How long so many tokens take.
pub(super) fn duration(tokens: u64, tokens_per_s: u32) -> Duration {
    Duration::from_micros(tokens.saturating_mul(1_000_000) / u64::from(tokens_per_s.max(1)))
}

/// Whether a field says nothing, and is left out of records.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A first event that comes sooner is not late: more than one step of a full batch and the way there and back take.
const LEAST_LATE: Duration = Duration::from_secs(3);
/// Permits are kept at a replica only while no more prompt tokens are queued there, a quarter of a second of a 70B model on
/// four H100: whoever takes a kept one does not know of them.
const LENT_WHILE_QUEUED: u64 = 2_500;
