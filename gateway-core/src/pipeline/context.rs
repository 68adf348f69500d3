//! One request: what every stage of its way may look at.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};

use crate::budget::Rates;
use crate::cells::{CellAddress, CellCall, CellError};
use crate::cluster::{HotSet, Served};
use crate::config::{Cluster, Config, HopAddress, Model};
use crate::geo::{self, Location};
use crate::hop::Role;
use crate::ids::{ClusterName, PrefixKey, RequestId};
use crate::observe::Event;
use crate::pipeline::cell_time::CellTime;
use crate::pipeline::detected::Detected;
use crate::pipeline::recorder::Recorder;
use crate::pipeline::state::Gateway;
use crate::platform::Platform;
use crate::route::RoundTrips;
use crate::time::Timestamp;
use crate::tokens::Tokenizer;

/// What belongs to one request, from its arrival to the last byte of its answer.
#[derive(Debug)]
pub(super) struct Exchange<P> {
    pub gateway: Arc<Gateway>,
    pub platform: P,
    /// The configuration in force when the request arrived: it stays the same for all of the request.
    pub config: Arc<Config>,
    pub id: RequestId,
    pub arrived: Timestamp,
    /// How the tightest of the budgets stands that the request is for, once that is known.
    pub rates: Cell<Option<Rates>>,
    /// How long the request may still wait for cells.
    pub cell_time: CellTime,
    /// How many replicas have been asked.
    pub attempts: Cell<u32>,
    /// How long the request has waited for room in the tier that it stands at.
    pub waited: Cell<Duration>,
    /// Why it goes where it goes, as far as that is written down.
    pub recorder: Recorder,
    /// What detectors have found in the answer that the client gets.
    pub detected: Detected,
    /// Which clusters have been asked for a place.
    visited: RefCell<Vec<ClusterName>>,
    location: Location,
}

/// Who waits for a cell's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The request, which may wait only so long for cells in all.
    Request,
    /// The request, for its turn at a cluster: the call may be held for so long before it is replied to.
    Turn {
        /// How long.
        held: Duration,
    },
    /// Nobody.
    Background,
}

impl Waiting {
    /// For how long a call may be held before it is replied to.
    pub fn held(self) -> Duration {
        match self {
            Self::Turn { held } => held,
            Self::Request | Self::Background => Duration::ZERO,
        }
    }
}

/// Why a pause is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paused {
    /// Its time has passed.
    Elapsed,
    /// The gateway stops.
    Stopped,
}

impl<P: Platform> Exchange<P> {
    /// `id` is the request's where it has one already.
    pub fn new(
        gateway: Arc<Gateway>,
        platform: P,
        config: Arc<Config>,
        location: Location,
        id: Option<RequestId>,
    ) -> Rc<Self> {
        let id = id.unwrap_or_else(|| RequestId::from_random(platform.random(), platform.random()));
        let arrived = platform.now();
        let cell_time = CellTime::new(config.timeouts.cells);
        Rc::new(Self {
            gateway,
            platform,
            config,
            id,
            arrived,
            rates: Cell::new(None),
            cell_time,
            attempts: Cell::new(0),
            waited: Cell::default(),
            recorder: Recorder::default(),
            detected: Detected::default(),
            visited: RefCell::default(),
            location,
        })
    }

    /// The exchange of a request that is only tried, here and now, or as if it had come in somewhere else.
    pub fn beside(&self, location: Option<Location>) -> Rc<Self> {
        let (gateway, config) = (Arc::clone(&self.gateway), Arc::clone(&self.config));
        let location = location.unwrap_or_else(|| self.location.clone());
        Self::new(gateway, self.platform.clone(), config, location, None)
    }

    /// Whether the cluster is asked for a place for the first time, as it is now.
    pub fn is_first_visit(&self, cluster: &ClusterName) -> bool {
        let mut visited = self.visited.borrow_mut();
        let is_first = !visited.contains(cluster);
        if is_first {
            visited.push(cluster.clone());
        }
        is_first
    }

    /// Something was seen of a cluster that its cell is to hear.
    pub fn on_served(&self, cluster: &ClusterName, see: impl FnOnce(&mut Served)) {
        let cache = self.gateway.permits.of(cluster);
        see(&mut cache.lock().unwrap_or_else(PoisonError::into_inner).served);
    }

    /// Something happened in the course of the request.
    pub fn tell(&self, event: &Event<'_>) {
        if !self.recorder.is_dry_run() {
            self.gateway.tell_of(Some(&self.id), || self.platform.now(), event);
        }
        self.recorder.on(|| self.platform.now().since(self.arrived), event);
    }

    /// Completes after `duration`, or when the gateway stops. [`Duration::MAX`] waits for the latter alone.
    pub fn pause(&self, duration: Duration) -> impl Future<Output = Paused> + 'static {
        let timer = (duration < Duration::MAX).then(|| self.platform.sleep(duration));
        let elapsed = async move {
            match timer {
                Some(timer) => timer.await,
                None => pending().await,
            }
        };
        let stopped = self.gateway.shutdown.stopped();
        async move {
            match select(pin!(elapsed), stopped).await {
                Either::Left(_) => Paused::Elapsed,
                Either::Right(_) => Paused::Stopped,
            }
        }
    }

    /// Does `work` for at most `limit`; `None` when it took longer.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        within(&self.platform, limit, work).await
    }

    /// Runs a command in a cell, and waits for its reply for at most `limit`.
    ///
    /// # Errors
    /// When the cell cannot be reached, does not reply in time, or replies to something else.
    pub async fn call_cell<C: CellCall>(
        &self,
        cell: &CellAddress,
        call: C,
        waiting: Waiting,
        limit: Duration,
    ) -> Result<C::Reply, CellError> {
        let limit = match waiting {
            Waiting::Request => limit.min(self.cell_time.left()),
            Waiting::Turn { .. } | Waiting::Background => limit,
        };
        let begun = self.platform.now();
        let replied = if limit.is_zero() {
            None
        } else {
            self.within(limit, self.platform.call(cell, call)).await
        };
        if waiting == Waiting::Request {
            self.cell_time.on_waited(self.platform.now().since(begun));
        }
        replied.unwrap_or_else(|| Err(CellError::Unreachable("no reply in time".to_owned())))
    }

    /// The tokenizer of that model, where there is one here.
    pub fn tokenizer(&self, model: &Model) -> Option<&Tokenizer> {
        self.gateway.tables.get(model.tokens.as_ref()?.as_str())?.ok()
    }

    /// The prefixes that so many share that one replica of the cluster cannot take them all, as far as they are known here.
    pub fn hot_set(&self, cluster: &Cluster) -> Arc<HotSet> {
        let cache = self.gateway.permits.of(&cluster.name);
        cache.lock().unwrap_or_else(PoisonError::into_inner).hot_set()
    }

    /// Whether a prefix is one of them.
    pub fn is_hot(&self, cluster: &Cluster, prefix: PrefixKey) -> bool {
        self.hot_set(cluster).get(prefix).is_some()
    }

    /// The largest body of a request. Orders of the edge may be a little longer than what clients may send it: they say
    /// otherwise which model, and in which form the answer is to come.
    pub fn most_body_bytes(&self) -> usize {
        let edits = match self.gateway.role() {
            Role::All | Role::Edge => 0,
            Role::Region => MOST_EDITED_BYTES,
        };
        self.config.sizes.request_body_bytes.saturating_add(edits)
    }

    /// The region hop to which requests for the cluster go, where they do.
    pub fn hop<'c>(&self, cluster: &'c Cluster) -> Option<&'c HopAddress> {
        match self.gateway.role() {
            Role::Edge => cluster.region.hop.as_ref(),
            Role::All | Role::Region => None,
        }
    }

    /// There and back between where the request came in and that region: what was learned of the cluster there, or else by
    /// the coordinates. Zero when it is not known where the request came in.
    pub fn round_trip(&self, cluster: &Cluster) -> Duration {
        let by_name = || Some(self.config.region(&self.location.code)?.coordinates);
        let Some(here) = self.location.coordinates.or_else(by_name) else {
            return Duration::ZERO;
        };
        let by_coordinates = geo::round_trip(here, cluster.region.coordinates);
        let expected = |known: &mut RoundTrips| known.expected(&cluster.name, &self.location, by_coordinates);
        self.gateway.round_trips.with(expected)
    }

    /// The head of a cluster's answer has come so long after the request to it went out.
    pub fn on_head(&self, cluster: &Cluster, took: Duration) {
        let learn = |known: &mut RoundTrips| known.on_head(&cluster.name, &self.location, took);
        self.gateway.round_trips.with(learn);
    }
}

/// Does `work` for at most `limit`, also where no request brought it about; `None` when it took longer.
pub(super) async fn within<P: Platform, T>(platform: &P, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(platform.sleep(limit))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// More than a model's name, and what asks for a stream and its usage.
const MOST_EDITED_BYTES: usize = 1 << 10;
/// Clocks that move in steps may leave nothing to wait for and yet nothing due: no alarm is set for less.
pub(super) const SHORTEST_ALARM: Duration = Duration::from_millis(1);
