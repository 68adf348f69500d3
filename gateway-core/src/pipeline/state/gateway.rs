//! The gateway itself: all that requests share, and what its process does with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use super::{
    ActiveCanned, ActiveConfig, Blamed, Estimates, LeaseCaches, PermitCaches, Polls, Rollouts, Shared, Shutdown,
    StoreHealth,
};
use crate::budget::LeaseAccount;
use crate::cache::{EntryMemory, Flights, PurgeMemory};
use crate::cells::SilentCells;
use crate::cluster::Capacity;
use crate::config::{BundleError, Config, ConfigErrors};
use crate::explain::KeptRecords;
use crate::hop::{HopHealth, Role};
use crate::ids::{BudgetId, ClusterName, ReplicaName, RequestId};
use crate::observe::{Event, Metrics, Sink, StoreAccess};
use crate::pipeline::body_memory::BodyMemory;
use crate::platform::StoreError;
use crate::prefix::Presumptions;
use crate::prefix::index::IndexMemory;
use crate::route::{LoadSnapshot, RoundTrips};
use crate::time::Timestamp;
use crate::tokens::Tables;

/// What a process, isolate or instance keeps between requests: data only, never I/O.
#[derive(Debug)]
pub struct Gateway {
    pub(in crate::pipeline) active_config: ActiveConfig,
    pub(in crate::pipeline) canned: ActiveCanned,
    pub(in crate::pipeline) tables: Tables,
    pub(in crate::pipeline) estimates: Estimates,
    pub(in crate::pipeline) leases: LeaseCaches,
    pub(in crate::pipeline) permits: PermitCaches,
    pub(in crate::pipeline) blamed: Blamed,
    pub(in crate::pipeline) rollouts: Rollouts,
    pub(in crate::pipeline) prefix_index: Shared<IndexMemory>,
    pub(in crate::pipeline) presumptions: Shared<Presumptions>,
    pub(in crate::pipeline) answers: Shared<EntryMemory>,
    pub(in crate::pipeline) flights: Shared<Flights>,
    pub(in crate::pipeline) purges: Shared<PurgeMemory>,
    pub(in crate::pipeline) bodies: Arc<BodyMemory>,
    pub(in crate::pipeline) silent_cells: Shared<SilentCells>,
    /// The cells of the response cache's keys, as one: each is asked too seldom to be known by itself.
    pub(in crate::pipeline) silent_flights: Shared<SilentCells<()>>,
    pub(in crate::pipeline) round_trips: Shared<RoundTrips>,
    pub(in crate::pipeline) hops: Shared<HopHealth>,
    pub(in crate::pipeline) polls: Shared<Polls>,
    pub(in crate::pipeline) records: Shared<KeptRecords>,
    pub(in crate::pipeline) store: StoreHealth,
    loads: Mutex<BTreeMap<ClusterName, LoadSnapshot>>,
    pub(in crate::pipeline) metrics: Metrics,
    sink: OnceLock<Sink>,
    role: OnceLock<Role>,
    pub(in crate::pipeline) shutdown: Shutdown,
}

impl Gateway {
    /// A gateway that starts with the configuration `text` and counts with these tables. No configuration may name others,
    /// also none that comes later.
    ///
    /// # Errors
    /// All that is wrong with the configuration.
    pub fn new(text: &str, tables: Tables) -> Result<Arc<Self>, ConfigErrors> {
        let config = Arc::new(Config::parse(text, Some(&tables.names()))?);
        Ok(Self::with_config(
            config,
            Bytes::copy_from_slice(text.as_bytes()),
            tables,
        ))
    }

    /// A gateway that starts with a configuration which its build has read from `text` and written down as `bundle`, with
    /// the names of these tables.
    ///
    /// # Errors
    /// When the bundle is damaged.
    pub fn bundled(bundle: &[u8], text: &'static str, tables: Tables) -> Result<Arc<Self>, BundleError> {
        let config = Arc::new(Config::from_bundle(bundle)?);
        Ok(Self::with_config(config, Bytes::from_static(text.as_bytes()), tables))
    }

    /// A gateway that starts with a configuration which has been read from `text`, with the names of these tables. Where
    /// many gateways are in one process they share it.
    pub fn with_config(config: Arc<Config>, text: Bytes, tables: Tables) -> Arc<Self> {
        Arc::new(Self {
            active_config: ActiveConfig::new(config, text),
            canned: ActiveCanned::default(),
            tables,
            estimates: Estimates::default(),
            leases: LeaseCaches::default(),
            permits: PermitCaches::default(),
            blamed: Blamed::default(),
            rollouts: Rollouts::default(),
            prefix_index: Shared::default(),
            presumptions: Shared::default(),
            answers: Shared::default(),
            flights: Shared::default(),
            purges: Shared::default(),
            bodies: Arc::default(),
            silent_cells: Shared::default(),
            silent_flights: Shared::default(),
            round_trips: Shared::default(),
            hops: Shared::default(),
            polls: Shared::default(),
            records: Shared::default(),
            store: StoreHealth::default(),
            loads: Mutex::default(),
            metrics: Metrics::new(),
            sink: OnceLock::new(),
            role: OnceLock::new(),
            shutdown: Shutdown::default(),
        })
    }

    /// Whether `text` could be put in force here.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn check_config(&self, text: &str) -> Result<Config, ConfigErrors> {
        Config::parse(text, Some(&self.tables.names()))
    }

    /// Whether the configuration in force has a region of that edge location's name.
    pub fn has_region_at(&self, location: &str) -> bool {
        self.active_config.current().region(location).is_some()
    }

    /// The tenant of the configuration in force, where it has one alone.
    pub fn only_tenant(&self) -> Option<String> {
        match self.active_config.current().tenants.as_slice() {
            [tenant] => Some(tenant.name.to_string()),
            _ => None,
        }
    }

    /// Has events told to `sink` as well as counted. Only the first call counts.
    pub fn set_sink(&self, sink: Sink) {
        self.sink.get_or_init(|| sink);
    }

    /// Has the gateway do that part of requests' ways. Only the first call counts, and it comes before any request.
    pub fn set_role(&self, role: Role) {
        self.role.get_or_init(|| role);
    }

    /// What it does of requests' ways.
    pub(in crate::pipeline) fn role(&self) -> Role {
        self.role.get().copied().unwrap_or_default()
    }

    /// How this process's account of a budget's tokens stands; `None` before a request has asked for any.
    pub fn lease_account(&self, budget: &BudgetId) -> Option<LeaseAccount> {
        Some(self.leases.get(budget)?.with(|cache| cache.account()))
    }

    /// What this process keeps of a replica for requests to come.
    pub fn idle_at(&self, cluster: &ClusterName, replica: &ReplicaName) -> Capacity {
        let cache = self.permits.of(cluster);
        cache.lock().unwrap_or_else(PoisonError::into_inner).idle_at(replica)
    }

    /// Says that no new requests should come: `/readyz` answers 503 from now on. Requests are still served.
    pub fn drain(&self) {
        self.shutdown.drain();
    }

    /// Ends what runs: streams with an error event, waiting requests with a 503. The last step of a shutdown.
    pub fn stop(&self) {
        self.shutdown.stop();
    }

    /// What asking the store for that came to, which `/readyz`, metrics and the log tell from then on. Reads for the
    /// configuration are the core's to tell; writes are a platform's that keeps cells in the store behind their backs.
    pub fn on_store(&self, now: Timestamp, access: StoreAccess, done: Result<(), StoreError>) {
        if !self.store.on_done(access, done.is_ok()) {
            return;
        }
        match done {
            Ok(()) => self.tell(now, &Event::StoreWorks { access }),
            Err(StoreError(detail)) => {
                let detail = &detail;
                self.tell(now, &Event::StoreFailing { access, detail });
            }
        }
    }

    /// Something happened at that moment that is of no request.
    pub(in crate::pipeline) fn tell(&self, at: Timestamp, event: &Event<'_>) {
        self.tell_of(None, || at, event);
    }

    /// Something happened in the course of that request, or of none.
    pub(in crate::pipeline) fn tell_of(
        &self,
        request: Option<&RequestId>,
        at: impl FnOnce() -> Timestamp,
        event: &Event<'_>,
    ) {
        self.metrics.on(event);
        if let Some(sink) = self.sink.get() {
            sink.tell(at, request, event);
        }
    }

    pub(in crate::pipeline) fn on_load(&self, cluster: &ClusterName, snapshot: LoadSnapshot) {
        self.loads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(cluster.clone(), snapshot);
    }

    pub(in crate::pipeline) fn load(&self, cluster: &ClusterName) -> Option<LoadSnapshot> {
        self.loads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(cluster)
            .copied()
    }
}
