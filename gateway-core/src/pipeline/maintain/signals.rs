//! Asking a cluster's engines what they say of themselves, where the cluster's cell says that it is this process's turn, and
//! telling the cell. However many gateways there are, one asks at a time. Nobody waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{Request, StatusCode};

use crate::cells::{CellAddress, CellCall, CellError};
use crate::cluster::{AskForTurn, EngineFigures, PollTurn, TellSignals};
use crate::config::{Cluster, Config, Replica, url_at};
use crate::hop::Role;
use crate::ids::ReplicaName;
use crate::observe::{Event, IgnoredSignal};
use crate::pipeline::collect::{CollectError, collect};
use crate::pipeline::context::within;
use crate::pipeline::state::Gateway;
use crate::platform::{Platform, UpstreamRequest};
use crate::signals::{self, Ignored, Reading};
use crate::time::Timestamp;

/// Everything that asking a cluster's engines takes.
#[derive(Debug)]
pub(in crate::pipeline) struct Poll<P> {
    pub gateway: Arc<Gateway>,
    pub platform: P,
    pub config: Arc<Config>,
    pub cluster: Arc<Cluster>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Polled {
    /// It was somebody else's turn, or none's yet.
    NoTurn,
    /// So many replicas said something that is believed.
    Read(usize),
}

/// Asks the engines of every cluster whose replicas this process asks for answers, where it is time for it.
pub(in crate::pipeline) fn poll_all<P: Platform>(gateway: &Arc<Gateway>, platform: &P) {
    if gateway.active_config.is_unknown() {
        return;
    }
    let config = gateway.active_config.current();
    let is_asked = |cluster: &&Arc<Cluster>| match gateway.role() {
        Role::All => true,
        Role::Edge => cluster.region.hop.is_none(),
        // A region hop stands beside the clusters that it has had orders for.
        Role::Region => gateway.load(&cluster.name).is_some(),
    };
    for cluster in config.clusters.values().filter(is_asked) {
        let poll = Poll {
            gateway: Arc::clone(gateway),
            platform: platform.clone(),
            config: Arc::clone(&config),
            cluster: Arc::clone(cluster),
        };
        poll.behind();
    }
}

impl<P: Platform> Poll<P> {
    /// Asks them behind everybody's back, where it is time for it.
    pub fn behind(self) {
        let now = self.platform.now();
        let every = self.config.signals.every;
        let may_ask = || {
            let Self { gateway, cluster, .. } = &self;
            gateway.polls.with(|polls| polls.may_ask(now, &cluster.name, every))
        };
        let is_wanted = self.cluster.signals_path.is_some() && !self.gateway.shutdown.is_draining();
        if is_wanted && may_ask() {
            let platform = self.platform.clone();
            // A turn that is lost costs one look: the next comes after `every`.
            platform.after_response(async move { drop(self.run().await) });
        }
    }

    /// Asks them now, where the cell gives the turn.
    ///
    /// # Errors
    /// When the cell cannot be reached, or replies to something else.
    pub async fn run(&self) -> Result<Polled, CellError> {
        let Some(path) = self.cluster.signals_path.as_deref() else {
            return Ok(Polled::NoTurn);
        };
        let settings = self.config.signals;
        let every = jittered(settings.every, self.platform.random());
        let lasts = settings.ttl / 2;
        let begun = self.platform.now();
        let PollTurn { turn, next_in } = self.call(AskForTurn { every, lasts }).await?;
        let next = begun + next_in;
        self.gateway.polls.with(|polls| polls.put_off(&self.cluster.name, next));
        let Some(turn) = turn else {
            return Ok(Polled::NoTurn);
        };
        let read = self.read_all(path, begun + lasts * 9 / 10).await;
        let count = read.len();
        let ttl = settings.ttl;
        self.call(TellSignals { turn, ttl, read }).await?;
        Ok(Polled::Read(count))
    }

    /// What the replicas say that have said it by that moment; of the others it is told that they were late. Whoever comes
    /// last in one turn may come first in the next.
    async fn read_all(&self, path: &str, end: Timestamp) -> Vec<(ReplicaName, EngineFigures)> {
        let mut replicas: Vec<&Replica> = self.cluster.replicas.iter().collect();
        let first = self.platform.random() % replicas.len().max(1) as u64;
        replicas.rotate_left(usize::try_from(first).unwrap_or_default());
        let mut left: BTreeSet<&ReplicaName> = replicas.iter().map(|replica| &replica.name).collect();
        let read_one = async |replica: &Replica| (replica.name.clone(), self.read_one(replica, path).await);
        let mut readings = stream::iter(replicas.iter().map(|replica| read_one(replica))).buffer_unordered(AT_ONCE);
        let mut read = Vec::new();
        let time_left = || end.since(self.platform.now());
        while let Some(Some((replica, reading))) = within(&self.platform, time_left(), readings.next()).await {
            left.remove(&replica);
            for reason in reading.ignored {
                self.ignore(&replica, reason);
            }
            read.extend(reading.figures.map(|figures| (replica, figures)));
        }
        drop(readings);
        left.into_iter().for_each(|replica| self.ignore(replica, Ignored::Late));
        read
    }

    fn ignore(&self, replica: &ReplicaName, reason: Ignored) {
        let cluster = &self.cluster.name;
        let ignored = IgnoredSignal {
            cluster,
            replica,
            reason,
        };
        self.gateway.tell(self.platform.now(), &Event::SignalIgnored(ignored));
    }

    async fn read_one(&self, replica: &Replica, path: &str) -> Reading {
        let page = within(&self.platform, self.config.signals.timeout, self.fetch(replica, path)).await;
        match page.unwrap_or(Err(Ignored::Late)) {
            Ok(page) => signals::read(self.cluster.engine, &page),
            Err(ignored) => Reading::of(ignored),
        }
    }

    async fn fetch(&self, replica: &Replica, path: &str) -> Result<Bytes, Ignored> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url_at(&replica.url, path).map_err(|_| Ignored::Unreachable)?;
        let upstream = UpstreamRequest {
            request,
            binding: None,
            secret: self.cluster.secret.clone(),
            connect_timeout: self.config.signals.timeout,
            hold_back: Duration::ZERO,
        };
        let response = self.platform.send(upstream).await.map_err(|_| Ignored::Unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(Ignored::Status);
        }
        let page = collect(response.into_body(), self.config.signals.page_bytes).await;
        page.map_err(|error| match error {
            CollectError::TooLarge => Ignored::TooLarge,
            CollectError::Broken(_) => Ignored::Unreachable,
        })
    }

    async fn call<C: CellCall>(&self, call: C) -> Result<C::Reply, CellError> {
        let cell = CellAddress::of_cluster(&self.cluster);
        let replied = within(
            &self.platform,
            self.config.timeouts.cells,
            self.platform.call(&cell, call),
        )
        .await;
        replied.unwrap_or_else(|| Err(CellError::Unreachable("no reply in time".to_owned())))
    }
}

/// Up to an eighth more or less, so that clusters are not asked in step.
fn jittered(every: Duration, random: u64) -> Duration {
    let eighths = 7 * u64::from(u32::MAX) + 2 * (random >> 32);
    let micros = u64::try_from(every.as_micros()).unwrap_or(u64::MAX);
    let jittered = u128::from(micros) * u128::from(eighths) / (8 * u128::from(u32::MAX));
    Duration::from_micros(u64::try_from(jittered).unwrap_or(micros))
}

/// So many engines are asked at once. Workers let six requests wait for their heads at once, and clients' own are among
/// them.
const AT_ONCE: usize = 3;
