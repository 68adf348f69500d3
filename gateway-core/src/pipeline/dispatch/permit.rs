//! A permit in the hands of the request that runs under it. However the request ends, also when its future is
//! dropped because the client has left, the permit goes back: to the cache, where it is kept for the next request, or to
//! the cluster's cell.

use std::time::Duration;

use super::ClusterClient;
use super::wait::ask_in_turn;
use crate::cells::CellError;
use crate::cluster::{
    Acquire, Acquired, Capacity, ChoiceReason, Dropped, Expectation, ExpectedPlace, Grant, HeldPermit, Outcome,
    PermitCache, PermitId, Prefilled, PromptOutline, Queued, Queueing, Release, Renew, TELLS_FROM, Work,
};
use crate::config::Replica;
use crate::ids::{ReplicaName, Tokens};
use crate::ladder::AttemptError;
use crate::observe::Event;
use crate::platform::Platform;
use crate::time::Timestamp;

/// A slot at a replica. It is given back when dropped.
#[derive(Debug)]
pub(in crate::pipeline) struct Permit<P: Platform> {
    client: ClusterClient<P>,
    id: PermitId,
    /// What the request has of the permit.
    capacity: Capacity,
    /// Whether the permit stays in the cache when the request ends.
    is_kept: bool,
    /// Where, as an index into the cluster's replicas.
    replica: usize,
    /// Why there; `None` where the cell does not tell.
    choice: Option<ChoiceReason>,
    /// What to expect there; `None` likewise.
    expected: Option<Expectation>,
    /// Since when it is the request's.
    since: Timestamp,
    /// Whether the cell waits to hear that the prompt keeps the replica no longer.
    is_prefilling: bool,
    /// Whether the replica's breaker waits to hear of the request.
    is_probe: bool,
    /// Whether its room went back already.
    is_suspended: bool,
    /// Whether the replica has begun to answer.
    is_answered: bool,
    outcome: Outcome,
}

/// What a request wants of a replica.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Wanted {
    /// kv_cache that it will fill.
    pub kv_tokens: Tokens,
    /// Fingerprint of the prompt's head.
    pub affinity: Option<u64>,
    /// What is known of the prompt.
    pub prompt: PromptOutline,
    /// Where it should be warm, as far as that is known here.
    pub place: Option<ExpectedPlace>,
    /// The share of the room that is kept for requests of higher priority, in percent.
    pub headroom_percent: u8,
    /// How it waits where there is no room.
    pub queueing: Queueing,
    /// Whether the cluster was not asked for the request before.
    pub is_new: bool,
}

impl Wanted {
    /// Where it goes without asking the cell, if a slot is kept there: where the prompt should be warm, and little of it has to
    /// be computed; of any more the cell is to know. Where a hot prefix is on its way to further replicas, the cell says where
    /// to. Who has failed here, or has no preference, is sent where the cell knows best.
    pub fn kept_place(&self, tried: &[ReplicaName]) -> Option<ExpectedPlace> {
        let is_known_here = |place: &ExpectedPlace| self.uncached(place) < TELLS_FROM && !place.is_spreading;
        self.place.filter(|_| tried.is_empty()).filter(is_known_here)
    }

    /// What of the prompt has to be computed there.
    fn uncached(&self, place: &ExpectedPlace) -> Tokens {
        Tokens(self.prompt.tokens.0.saturating_sub(place.warm.0))
    }

    /// What to expect at a place that is known here.
    pub fn expectation(&self, place: &ExpectedPlace, tokens_per_s: f64) -> Expectation {
        let seconds = self.uncached(place).0 as f64 / tokens_per_s;
        Expectation {
            warm: place.warm,
            first_token_in: Duration::try_from_secs_f64(seconds).unwrap_or_default(),
        }
    }

    /// What the cluster's cell is asked.
    pub fn into_acquire<P: Platform>(self, client: &ClusterClient<P>, permit: PermitId) -> Acquire {
        Acquire {
            permit,
            kv_tokens: self.kv_tokens,
            spare: 0,
            policy: client.policy(),
            headroom_percent: self.headroom_percent,
            tried: Vec::new(),
            affinity: self.affinity,
            prompt: self.prompt,
            known_hot: client.with(|cache| cache.hot_set().digest),
            ttl: client.ttl(),
            queueing: Some(self.queueing),
            explains: client.exchange.recorder.explains(),
            is_new: self.is_new,
        }
    }
}

impl<P: Platform> Permit<P> {
    /// Takes a slot that is kept here, or else asks the cluster's cell for one.
    ///
    /// # Errors
    /// When there is none, or the cell does not answer.
    pub async fn acquire(
        client: ClusterClient<P>,
        wanted: Wanted,
        tried: &[ReplicaName],
    ) -> Result<Self, AttemptError> {
        let kept = wanted
            .kept_place(tried)
            .and_then(|place| Self::take(&client, place, &wanted));
        let is_kept = kept.is_some();
        let permit = match kept {
            Some(permit) => permit,
            None => Self::ask(client, wanted, tried).await?,
        };
        permit.client.exchange.tell(&Event::Permitted {
            cluster: &permit.client.cluster.name,
            replica: &permit.replica().name,
            is_kept,
            choice: permit.choice,
            expected: permit.expected,
        });
        Ok(permit)
    }

    /// Takes a slot that is kept here, if there is one.
    fn take(client: &ClusterClient<P>, place: ExpectedPlace, wanted: &Wanted) -> Option<Self> {
        let now = client.exchange.platform.now();
        let replica = &client.cluster.policy.replicas[place.replica];
        let take = |cache: &mut PermitCache| cache.take(now, replica, wanted.kv_tokens, wanted.headroom_percent);
        let taken = client.with(take)?;
        if taken.is_to_extend {
            client.extend(replica);
        }
        if wanted.is_new {
            let work = Work::of_one(wanted.uncached(&place).0, wanted.kv_tokens);
            client.with(|cache| cache.served.arrived += work);
        }
        Some(Self {
            client: client.clone(),
            id: taken.permit,
            capacity: Capacity::of_one(wanted.kv_tokens),
            is_kept: true,
            replica: place.replica,
            choice: Some(place.reason),
            expected: Some(wanted.expectation(&place, client.cluster.prefill_tokens_per_s)),
            since: now,
            is_prefilling: false,
            is_probe: false,
            is_suspended: false,
            is_answered: false,
            outcome: Outcome::Unknown,
        })
    }

    /// Asks the cluster's cell for a slot.
    async fn ask(client: ClusterClient<P>, wanted: Wanted, tried: &[ReplicaName]) -> Result<Self, AttemptError> {
        let place = wanted.place.filter(|_| tried.is_empty());
        let (kv_tokens, prompt_tokens) = (wanted.kv_tokens, wanted.prompt.tokens);
        let replicas = &client.cluster.policy.replicas;
        let spare = place.map(|place| client.with(|cache| cache.spare(&replicas[place.replica])));
        let asked = client.exchange.platform.now();
        let call = PermitCall::new(client);
        let acquire = Acquire {
            spare: spare.unwrap_or_default(),
            tried: tried.to_vec(),
            ..wanted.into_acquire(&call.client, call.id)
        };
        match ask_in_turn(&call.client, acquire).await? {
            Acquired::Granted(grant) => call.granted(grant, Capacity::of_one(kv_tokens), (prompt_tokens, asked)),
            Acquired::Refused(refusal) => {
                call.client.on_load(refusal.load, refusal.knows_policy);
                call.client.on_weighed(refusal.weighed.as_deref());
                call.refused();
                Err(AttemptError::of_refusal(&refusal))
            }
            // The wait is over: its place, if there is one, goes with the call.
            Acquired::Queued(Queued {
                expected, passed_over, ..
            }) => Err(AttemptError::NoRoom {
                recovery: None,
                passed_over,
                expected_wait: Some(expected),
                dropped: Some(Dropped::Deadline),
            }),
        }
    }

    /// Where the request may run, as an index into the cluster's replicas.
    pub fn replica_index(&self) -> usize {
        self.replica
    }

    /// Since when it is the request's.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Why there; `None` where the cell does not tell.
    pub fn choice(&self) -> Option<ChoiceReason> {
        self.choice
    }

    /// What of the prompt should be in the replica's memory; `None` where the cell does not tell.
    pub fn expected_warm(&self) -> Option<Tokens> {
        self.expected.map(|expected| expected.warm)
    }

    /// In how long after the request's arrival its answer was to begin, as the permit was given: with what had passed by
    /// then, and the way there and back. `None` where the cell does not tell.
    pub fn expected_first_token(&self) -> Option<Duration> {
        let exchange = &self.client.exchange;
        let before = self.since.since(exchange.arrived);
        let there = exchange.round_trip(&self.client.cluster) + self.expected?.first_token_in;
        Some(before.saturating_add(there))
    }

    /// Whether the replica has failed before, and is tried with this request.
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// The replica answers: the cell hears of it now, and not at the answer's end, where a breaker waits for that or the
    /// prompt has kept the replica.
    pub fn on_answered(&mut self) {
        let replica = || self.client.cluster.replicas[self.replica].name.clone();
        let answered = self.is_probe.then(|| Release::answered(self.id, replica()));
        let took = self.client.exchange.platform.now().since(self.since);
        let prefilled = self.is_prefilling.then(|| Prefilled {
            permit: self.id,
            replica: replica(),
            took: Some(took),
        });
        self.client
            .report(answered.into_iter().collect(), prefilled.into_iter().collect());
        (self.is_probe, self.is_prefilling, self.is_answered) = (false, false, true);
    }

    /// Gives back the room that the request had. How it ended there is told when the permit ends.
    pub fn suspend(&mut self) {
        self.is_suspended = true;
        if self.is_kept {
            self.give_back_kept(Outcome::Unknown);
        } else {
            let room = Release::of_room(self.id, self.replica().name.clone());
            self.client.release(vec![room]);
        }
    }

    fn give_back_kept(&self, outcome: Outcome) {
        let (client, replica) = (&self.client, &self.replica().name);
        let now = client.exchange.platform.now();
        client.release(client.with(|cache| cache.on_end(now, replica, self.id, self.capacity, outcome)));
        client.watch();
    }

    /// Gives the permit back, telling how the request ended.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Renews the permit, with all that are kept here, in the background. To be called every `period`.
    pub fn renew(&self, period: Duration) {
        let now = self.client.exchange.platform.now();
        let kept = |cache: &mut PermitCache| (cache.give_back_idle(now), cache.renew(now, period));
        let (ended, mut held) = self.client.with(kept);
        self.client.release(ended);
        if !self.is_kept {
            let replica = self.replica().name.clone();
            if self.is_answered {
                self.client.release(vec![Release::running(self.id, replica.clone())]);
            }
            held.push(HeldPermit {
                permit: self.id,
                replica,
                capacity: self.capacity,
            });
        }
        if !held.is_empty() {
            let ttl = self.client.ttl();
            self.client.tell(Renew { held, ttl });
        }
    }

    /// Nobody can connect to the replica, or it loads.
    pub fn on_absent(&self, is_loading: bool) {
        self.client.on_absent(&self.replica().name, is_loading);
    }

    /// The stream that ran under it broke off.
    pub fn on_stream_failed(&self, error: &AttemptError) {
        self.client.exchange.tell(&Event::StreamFailed {
            cluster: &self.client.cluster.name,
            replica: &self.replica().name,
            error,
        });
    }

    fn replica(&self) -> &Replica {
        &self.client.cluster.replicas[self.replica]
    }
}

impl<P: Platform> Drop for Permit<P> {
    fn drop(&mut self) {
        let (client, permit, outcome) = (&self.client, self.id, self.outcome);
        let replica = &self.replica().name;
        if self.is_kept && self.is_prefilling {
            // The permit goes on, and the prompt does not.
            let (replica, took) = (replica.clone(), None);
            client.report(Vec::new(), vec![Prefilled { permit, replica, took }]);
        }
        match (self.is_kept, self.is_suspended, outcome) {
            (true, false, _) => self.give_back_kept(outcome),
            (true, true, Outcome::Failed) => {
                let now = client.exchange.platform.now();
                client.release(client.with(|cache| cache.on_failed_before(now, replica, permit)));
            }
            (true, true, Outcome::Served | Outcome::Unknown) => {}
            (false, ..) => client.release(vec![Release::of_all(permit, Some(replica.clone()), outcome)]),
        }
        client.on_released(outcome);
    }
}

/// A permit that the cell was asked for. When the client leaves before the reply, or the reply gets lost, what the cell
/// may have given goes back all the same.
struct PermitCall<P: Platform> {
    client: ClusterClient<P>,
    id: PermitId,
    is_open: bool,
}

impl<P: Platform> PermitCall<P> {
    fn new(client: ClusterClient<P>) -> Self {
        let id = PermitId(client.exchange.platform.random());
        Self {
            client,
            id,
            is_open: true,
        }
    }

    fn granted(
        mut self,
        grant: Grant,
        one: Capacity,
        (prompt, asked): (Tokens, Timestamp),
    ) -> Result<Permit<P>, AttemptError> {
        let Grant {
            replica,
            lent,
            load,
            choice,
            expected,
            is_probe,
            hot,
            knows_policy,
            weighed,
        } = grant;
        let client = &self.client;
        let at = client.on_load(load, knows_policy);
        client.on_weighed(weighed.as_deref());
        if let Some(hot) = hot {
            client.with(|cache| cache.on_hot(hot));
        }
        let index = client.cluster.replicas.iter().position(|known| known.name == replica);
        let stranger = || CellError::Malformed("a replica that was not asked for".to_owned());
        let index = index.ok_or_else(stranger)?;
        if let Some(lent) = lent {
            let held = HeldPermit {
                permit: self.id,
                replica,
                capacity: one.times(1 + lent),
            };
            client.with(|cache| cache.on_granted(asked, &held, one, client.ttl()));
        }
        self.is_open = false;
        Ok(Permit {
            client: client.clone(),
            id: self.id,
            capacity: one,
            is_kept: lent.is_some(),
            replica: index,
            choice,
            expected,
            since: at,
            is_prefilling: expected.is_some_and(|expected| prompt.0.saturating_sub(expected.warm.0) >= TELLS_FROM.0),
            is_probe,
            is_suspended: false,
            is_answered: false,
            outcome: Outcome::Unknown,
        })
    }

    fn refused(mut self) {
        self.is_open = false;
    }
}

impl<P: Platform> Drop for PermitCall<P> {
    fn drop(&mut self) {
        if self.is_open {
            let unknown = Release::of_all(self.id, None, Outcome::Unknown);
            self.client.release(vec![unknown]);
            self.client.on_released(Outcome::Unknown);
        }
    }
}
