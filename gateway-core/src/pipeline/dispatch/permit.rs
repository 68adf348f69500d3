//! A permit in the hands of the request that runs under it. However the request ends, also when its future is
//! dropped because the client has left, the permit goes back: to the book, where it is kept for the next request, or to
//! the cluster's cell.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};

use crate::cells::CellError;
use crate::cluster::{
    Acquire, ClusterCommand, ClusterReply, Grant, HeldPermit, Outcome, PermitCache, PermitId, Refusal, Release, Share,
};
use crate::config::{Cluster, Replica};
use crate::ids::{ReplicaName, Tokens};
use crate::ladder::AttemptError;
use crate::observe::Event;
use crate::pipeline::context::Exchange;
use crate::pipeline::dispatch::ClusterClient;
use crate::pipeline::leases::Reservation;
use crate::platform::Platform;

/// A place at a replica. It is given back when dropped.
#[derive(Debug)]
pub(in crate::pipeline) struct Permit<P: Platform> {
    lending: ClusterClient<P>,
    /// What the request has reserved, which is kept as long as the place.
    charge: Rc<Reservation<P>>,
    id: PermitId,
    /// What the request has of the permit.
    share: Share,
    /// Whether the permit stays in the book when the request ends.
    is_kept: bool,
    /// Where, as the place among the cluster's replicas; `None` until that is known.
    replica: Option<usize>,
    outcome: Outcome,
}

/// What a request wants of a replica.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Wanted {
    /// kv_cache that it will fill.
    pub kv_tokens: Tokens,
    /// Fingerprint of the prompt's head.
    pub affinity: Option<u64>,
    /// The share of the room that is kept for requests of higher priority, in percent.
    pub headroom_percent: u8,
}

impl<P: Platform> Permit<P> {
    /// Takes a place that is kept here, or else asks the cluster's cell for one.
    ///
    /// # Errors
    /// When there is none, or the cell does not answer.
    pub async fn acquire(
        exchange: &Rc<Exchange<P>>,
        cluster: &Arc<Cluster>,
        charge: &Rc<Reservation<P>>,
        wanted: Wanted,
        tried: &[ReplicaName],
    ) -> Result<Self, AttemptError> {
        let mut permit = Self {
            lending: ClusterClient::new(exchange, cluster),
            charge: Rc::clone(charge),
            id: NO_PERMIT,
            share: Share::of_one(wanted.kv_tokens),
            is_kept: false,
            replica: None,
            outcome: Outcome::Unknown,
        };
        // Who has failed here, or has no preference, is sent where the cell knows best.
        let affinity = wanted.affinity.filter(|_| tried.is_empty());
        let is_kept = affinity.is_some_and(|affinity| permit.take(affinity, wanted.headroom_percent));
        if !is_kept {
            permit.ask(wanted, tried).await?;
        }
        let cluster = &cluster.name;
        exchange.gateway.tell(&Event::Permitted { cluster, is_kept });
        Ok(permit)
    }

    /// Takes a place that is kept here, if there is one at the affinity's first choice.
    fn take(&mut self, affinity: u64, headroom_percent: u8) -> bool {
        let now = self.lending.exchange.platform.now();
        let replicas = &self.lending.cluster.replicas;
        let take = |book: &mut PermitCache| book.take(now, affinity, replicas, self.share.kv_tokens, headroom_percent);
        let Some(taken) = self.lending.with(take) else {
            return false;
        };
        (self.id, self.is_kept, self.replica) = (taken.permit, true, Some(taken.replica));
        if taken.is_to_extend {
            self.lending.extend(&replicas[taken.replica]);
        }
        true
    }

    /// Asks the cluster's cell for a place.
    async fn ask(&mut self, wanted: Wanted, tried: &[ReplicaName]) -> Result<(), AttemptError> {
        let ClusterClient { exchange, cluster, .. } = &self.lending;
        let Wanted {
            kv_tokens,
            affinity,
            headroom_percent,
        } = wanted;
        let spare = affinity.map(|affinity| self.lending.with(|book| book.spare(affinity, &cluster.replicas)));
        // Known before the cell is asked: if the client leaves meanwhile, what the cell gave goes back all the same.
        self.id = PermitId(exchange.platform.random());
        let acquire = Acquire {
            permit: self.id,
            kv_tokens,
            spare: spare.unwrap_or_default(),
            replicas: self.lending.replicas(),
            room: self.lending.room(),
            headroom_percent,
            tried: tried.to_vec(),
            affinity,
            ttl: self.lending.ttl(),
        };
        match self.lending.ask(ClusterCommand::Acquire(acquire)).await? {
            ClusterReply::Granted(Grant { replica, lent, load }) => {
                let at = self.lending.on_load(load);
                let place = cluster.replicas.iter().position(|known| known.name == replica);
                let stranger = || CellError::Malformed("a replica that was not asked for".to_owned());
                self.replica = Some(place.ok_or_else(stranger)?);
                if let Some(lent) = lent {
                    let held = self.held(replica, self.share.times(1 + lent));
                    self.lending
                        .with(|book| book.on_granted(at, &held, self.share, self.lending.ttl()));
                    self.is_kept = true;
                }
                Ok(())
            }
            ClusterReply::Refused(Refusal { load, recovery }) => {
                self.lending.on_load(load);
                self.id = NO_PERMIT;
                Err(AttemptError::NoRoom { recovery })
            }
            ClusterReply::Extended(_) | ClusterReply::Done | ClusterReply::Status(_) => {
                Err(CellError::Malformed("not a reply to acquire".to_owned()).into())
            }
        }
    }

    /// Where the request may run.
    pub fn replica(&self) -> Option<&Replica> {
        self.replica.and_then(|place| self.lending.cluster.replicas.get(place))
    }

    /// How the request ended, as the cell is to hear.
    pub fn settle(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Does `work` for at most `limit`, and keeps the permit meanwhile; `None` when it took longer.
    pub async fn hold_while<T>(&self, mut work: Pin<&mut impl Future<Output = T>>, limit: Duration) -> Option<T> {
        let platform = &self.lending.exchange.platform;
        let until = platform.now() + limit;
        loop {
            let left = until.since(platform.now());
            match select(work.as_mut(), pin!(platform.sleep(left.min(self.renewal_period())))).await {
                Either::Left((done, _)) => return Some(done),
                Either::Right(_) if platform.now() >= until => return None,
                Either::Right(_) => self.renew(),
            }
        }
    }

    /// How often a permit has to be renewed.
    pub fn renewal_period(&self) -> Duration {
        self.lending.ttl() / 3
    }

    /// Renews the permit, with all that are kept here, and the leases of what is reserved, in the background.
    pub fn renew(&self) {
        self.charge.keep_up();
        let now = self.lending.exchange.platform.now();
        let kept = |book: &mut PermitCache| (book.give_back_idle(now), book.renew(now, self.renewal_period()));
        let (ended, mut held) = self.lending.with(kept);
        self.lending.release(ended);
        if let Some(replica) = self.replica().filter(|_| !self.is_kept) {
            held.push(self.held(replica.name.clone(), self.share));
        }
        if !held.is_empty() {
            let ttl = self.lending.ttl();
            self.lending.tell(ClusterCommand::Renew { held, ttl });
        }
    }

    /// The stream that ran under it broke off.
    pub fn on_stream_failed(&self, error: &AttemptError) {
        if let Some(replica) = self.replica() {
            let cluster = &self.lending.cluster.name;
            self.lending.exchange.gateway.tell(&Event::StreamFailed {
                cluster,
                replica: &replica.name,
                error,
            });
        }
    }

    fn held(&self, replica: ReplicaName, share: Share) -> HeldPermit {
        HeldPermit {
            permit: self.id,
            replica,
            share,
        }
    }
}

impl<P: Platform> Drop for Permit<P> {
    fn drop(&mut self) {
        if self.id == NO_PERMIT {
            return;
        }
        let (lending, permit, outcome) = (&self.lending, self.id, self.outcome);
        match self.replica().filter(|_| self.is_kept) {
            Some(replica) => {
                let now = lending.exchange.platform.now();
                lending.release(lending.with(|book| book.on_end(now, &replica.name, permit, self.share, outcome)));
                lending.watch();
            }
            None => {
                let replica = self.replica().map(|replica| replica.name.clone());
                lending.release(vec![Release::of_all(permit, replica, outcome)]);
            }
        }
        lending.exchange.gateway.tell(&Event::Released {
            cluster: &lending.cluster.name,
            outcome,
        });
    }
}

/// The id of a permit that was not given; random ids are never it but once in 2^64.
const NO_PERMIT: PermitId = PermitId(0);
