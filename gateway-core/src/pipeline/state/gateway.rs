//! The gateway itself: all that requests share, and what its process does with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{ActiveConfig, Estimates, LeaseCaches, PermitCaches, Shutdown};
use crate::config::{Config, ConfigErrors};
use crate::ids::ClusterName;
use crate::observe::{Event, Metrics};
use crate::route::LoadSnapshot;
use crate::tokens::Tables;

/// What a process, isolate or instance keeps between requests: data only, never I/O.
#[derive(Debug)]
pub struct Gateway {
    pub(in crate::pipeline) active_config: ActiveConfig,
    pub(in crate::pipeline) tables: Tables,
    pub(in crate::pipeline) estimates: Estimates,
    pub(in crate::pipeline) leases: LeaseCaches,
    pub(in crate::pipeline) permits: PermitCaches,
    loads: Mutex<BTreeMap<ClusterName, LoadSnapshot>>,
    pub(in crate::pipeline) metrics: Metrics,
    log: OnceLock<fn(&Event<'_>)>,
    pub(in crate::pipeline) shutdown: Shutdown,
}

impl Gateway {
    /// A gateway that starts with the configuration `bundled` and counts with these tables. No configuration may name
    /// others, also none that comes later.
    ///
    /// # Errors
    /// All that is wrong with the configuration.
    pub fn new(bundled: &str, tables: Tables) -> Result<Arc<Self>, ConfigErrors> {
        Ok(Arc::new(Self {
            active_config: ActiveConfig::new(bundled, &tables)?,
            tables,
            estimates: Estimates::default(),
            leases: LeaseCaches::default(),
            permits: PermitCaches::default(),
            loads: Mutex::default(),
            metrics: Metrics::new(),
            log: OnceLock::new(),
            shutdown: Shutdown::default(),
        }))
    }

    /// Whether `text` could be put in force here.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn check_config(&self, text: &str) -> Result<Config, ConfigErrors> {
        Config::parse(text, Some(&self.tables.names()))
    }

    /// Has every event told to `log` as well. Only the first call counts.
    pub fn set_log(&self, log: fn(&Event<'_>)) {
        self.log.get_or_init(|| log);
    }

    /// Says that no new requests should come: `/readyz` answers 503 from now on. Requests are still served.
    pub fn drain(&self) {
        self.shutdown.drain();
    }

    /// Ends what runs: streams with an error event, waiting requests with a 503. The last step of a shutdown.
    pub fn stop(&self) {
        self.shutdown.stop();
    }

    pub(in crate::pipeline) fn tell(&self, event: &Event<'_>) {
        self.metrics.on(event);
        if let Some(log) = self.log.get() {
            log(event);
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
