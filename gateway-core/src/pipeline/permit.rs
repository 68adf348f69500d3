//! A permit in the hands of the request that runs under it. However the request ends, also when its future is
//! dropped because the client has left, the permit goes back.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};

use super::charge::Charge;
use super::exchange::Exchange;
use crate::cells::{CellAddress, CellCommand, CellId, CellReply};
use crate::cluster::{
    Acquire, BreakerPolicy, ClusterCommand, ClusterReply, Grant, Held, Outcome, PermitId, Refusal, Release, Room,
};
use crate::config::{Cluster, Replica};
use crate::ids::{ReplicaName, Tokens};
use crate::ladder::AttemptError;
use crate::observe::Event;
use crate::platform::{CellError, Platform};
use crate::route::LoadSnapshot;

/// A place at a replica. It is given back when dropped.
#[derive(Debug)]
pub(super) struct Permit<P: Platform> {
    exchange: Rc<Exchange<P>>,
    cluster: Arc<Cluster>,
    /// What the request has reserved, which is kept as long as the place.
    charge: Rc<Charge<P>>,
    id: PermitId,
    kv_tokens: Tokens,
    /// Where, as the place among the cluster's replicas; `None` until the cell has told.
    replica: Option<usize>,
    outcome: Outcome,
}

/// What a request wants of a replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// kv_cache that it will fill.
    pub kv_tokens: Tokens,
    /// Fingerprint of the prompt's head.
    pub affinity: Option<u64>,
    /// The share of the room that is kept for requests of higher priority, in percent.
    pub kept_percent: u8,
}

impl<P: Platform> Permit<P> {
    /// Asks the cluster's cell for a place.
    ///
    /// # Errors
    /// When there is none, or the cell does not answer.
    pub async fn acquire(
        exchange: &Rc<Exchange<P>>,
        cluster: &Arc<Cluster>,
        charge: &Rc<Charge<P>>,
        wanted: Wanted,
        tried: &[ReplicaName],
    ) -> Result<Self, AttemptError> {
        let Wanted {
            kv_tokens,
            affinity,
            kept_percent,
        } = wanted;
        let acquire = Acquire {
            permit: PermitId(exchange.platform.random()),
            kv_tokens,
            replicas: cluster.replicas.iter().map(|replica| replica.name.clone()).collect(),
            room: Room {
                max_running: cluster.max_running,
                kv_cache_tokens: cluster.kv_cache_tokens,
            },
            kept_percent,
            tried: tried.to_vec(),
            affinity,
            ttl: exchange.config.limits.permit_ttl,
        };
        // Made before the cell is asked: if the client leaves meanwhile, what the cell gave goes back all the same.
        let mut permit = Self {
            exchange: Rc::clone(exchange),
            cluster: Arc::clone(cluster),
            charge: Rc::clone(charge),
            id: acquire.permit,
            kv_tokens,
            replica: None,
            outcome: Outcome::Unknown,
        };
        let reply = exchange
            .platform
            .cell_call(&address(cluster), command(ClusterCommand::Acquire(acquire)))
            .await?;
        let at = exchange.platform.now();
        match reply {
            CellReply::Cluster(ClusterReply::Granted(Grant { replica, load })) => {
                exchange.gateway.on_load(&cluster.name, LoadSnapshot { load, at });
                let place = cluster.replicas.iter().position(|known| known.name == replica);
                let stranger = || CellError::Malformed("a replica that was not asked for".to_owned());
                permit.replica = Some(place.ok_or_else(stranger)?);
                Ok(permit)
            }
            CellReply::Cluster(ClusterReply::Refused(Refusal { load, recovery })) => {
                exchange.gateway.on_load(&cluster.name, LoadSnapshot { load, at });
                permit.forget();
                Err(AttemptError::NoRoom { recovery })
            }
            CellReply::Cluster(ClusterReply::Done | ClusterReply::Status(_))
            | CellReply::Estimate(_)
            | CellReply::Budget(_)
            | CellReply::AnotherKind => Err(CellError::Malformed("not a reply to acquire".to_owned()).into()),
        }
    }

    /// Where the request may run.
    pub fn replica(&self) -> Option<&Replica> {
        self.replica.and_then(|place| self.cluster.replicas.get(place))
    }

    /// How the request ended, as the cell is to hear.
    pub fn settle(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Does `work` for at most `limit`, and keeps the permit meanwhile; `None` when it took longer.
    pub async fn hold_while<T>(&self, mut work: Pin<&mut impl Future<Output = T>>, limit: Duration) -> Option<T> {
        let platform = &self.exchange.platform;
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
        self.exchange.config.limits.permit_ttl / 3
    }

    /// Renews the permit, and the leases of what is reserved, in the background.
    pub fn renew(&self) {
        self.charge.keep_up();
        let Some(replica) = self.replica() else { return };
        let held = Held {
            permit: self.id,
            replica: replica.name.clone(),
            kv_tokens: self.kv_tokens,
        };
        self.tell_cell(ClusterCommand::Renew {
            held,
            ttl: self.exchange.config.limits.permit_ttl,
        });
    }

    /// The stream that ran under it broke off.
    pub fn on_stream_failed(&self, error: &AttemptError) {
        if let Some(replica) = self.replica() {
            let cluster = &self.cluster.name;
            self.exchange.gateway.tell(&Event::StreamFailed {
                cluster,
                replica: &replica.name,
                error,
            });
        }
    }

    /// There is nothing to give back.
    fn forget(mut self) {
        self.id = NO_PERMIT;
    }

    fn tell_cell(&self, it: ClusterCommand) {
        let platform = self.exchange.platform.clone();
        let address = address(&self.cluster);
        self.exchange.platform.after_response(async move {
            // A message that is lost costs a place until the permit expires; asking again could only make it later.
            let _ = platform.cell_call(&address, command(it)).await;
        });
    }
}

impl<P: Platform> Drop for Permit<P> {
    fn drop(&mut self) {
        if self.id == NO_PERMIT {
            return;
        }
        let limits = &self.exchange.config.limits;
        let breaker = BreakerPolicy {
            failures: limits.breaker_failures,
            open: limits.breaker_open,
        };
        let release = Release {
            permit: self.id,
            replica: self.replica().map(|replica| replica.name.clone()),
            outcome: self.outcome,
            breaker,
        };
        self.tell_cell(ClusterCommand::Release(release));
        self.exchange.gateway.tell(&Event::Released {
            cluster: &self.cluster.name,
            outcome: self.outcome,
        });
    }
}

/// The address of a cluster's cell.
pub(super) fn address(cluster: &Cluster) -> CellAddress {
    CellAddress {
        id: CellId::Cluster(cluster.name.clone()),
        near: cluster.region.coordinates,
    }
}

/// A command to a cluster's cell.
pub(super) fn command(command: ClusterCommand) -> CellCommand {
    CellCommand::Cluster(command)
}

/// The id of a permit that was refused; random ids are never it but once in 2^64.
const NO_PERMIT: PermitId = PermitId(0);
