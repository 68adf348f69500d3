//! One request's way: the only asynchronous code of the core, and the only code that names [`Platform`].
//!
//! A request to generate goes down `generate.rs`: authenticate, receive, decode, count, plan, reserve.
//! `descend.rs` loops over
//! attempts, `attempt.rs` makes one, `relay.rs` loops over the chunks of the answer.

mod account;
mod admin;
mod attempt;
mod body;
mod books;
mod budgets;
mod charge;
mod chunks;
mod collect;
mod count;
mod descend;
mod estimates;
mod exchange;
mod failure;
mod generate;
mod live;
mod permit;
mod permits;
mod plan;
mod receive;
mod relay;
mod reserve;
mod respond;
mod stop;
mod tokenize;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use futures::Stream;
use http::{Request, Response};

pub use body::Body;

use self::books::Books;
use self::estimates::Estimates;
use self::exchange::Exchange;
use self::live::Live;
use self::permits::PermitBooks;
use self::stop::Stop;
use crate::config::{Config, ConfigErrors};
use crate::geo::Location;
use crate::ids::ClusterName;
use crate::observe::{Event, Metrics};
use crate::platform::Platform;
use crate::route::LoadSnapshot;
use crate::tokens::Tables;

/// What a process, isolate or instance keeps between requests: data only, never I/O.
#[derive(Debug)]
pub struct Gateway {
    live: Live,
    tables: Tables,
    estimates: Estimates,
    books: Books,
    permits: PermitBooks,
    loads: Mutex<BTreeMap<ClusterName, LoadSnapshot>>,
    metrics: Metrics,
    log: OnceLock<fn(&Event<'_>)>,
    stop: Stop,
}

impl Gateway {
    /// A gateway that starts with the configuration `bundled` and counts with these tables. No configuration may name
    /// others, also none that comes later.
    ///
    /// # Errors
    /// All that is wrong with the configuration.
    pub fn new(bundled: &str, tables: Tables) -> Result<Arc<Self>, ConfigErrors> {
        Ok(Arc::new(Self {
            live: Live::new(bundled, &tables)?,
            tables,
            estimates: Estimates::default(),
            books: Books::default(),
            permits: PermitBooks::default(),
            loads: Mutex::default(),
            metrics: Metrics::new(),
            log: OnceLock::new(),
            stop: Stop::default(),
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

    /// Answers one request. `location` is where it came in. Dropping the future, or the body of the response before
    /// its end, says that the client has left.
    pub async fn serve<P, B, E>(
        self: &Arc<Self>,
        platform: P,
        location: Location,
        request: Request<B>,
    ) -> Response<Body>
    where
        P: Platform,
        B: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let config = self.live.current(self, &platform).await;
        let exchange = Exchange::new(Arc::clone(self), platform, config, location);
        let (head, body) = request.into_parts();
        exchange.serve(&head, body).await
    }

    /// Looks for a newer configuration. Requests do so too; this keeps it fresh where there are none.
    pub async fn maintain<P: Platform>(self: &Arc<Self>, platform: P) {
        self.live.refresh(self, &platform).await;
    }

    /// Says that no new requests should come: `/readyz` answers 503 from now on. Requests are still served.
    pub fn drain(&self) {
        self.stop.drain();
    }

    /// Ends what runs: streams with an error event, waiting requests with a 503. The last step of a shutdown.
    pub fn stop(&self) {
        self.stop.stop();
    }

    fn tell(&self, event: &Event<'_>) {
        self.metrics.on(event);
        if let Some(log) = self.log.get() {
            log(event);
        }
    }

    fn on_load(&self, cluster: &ClusterName, snapshot: LoadSnapshot) {
        self.loads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(cluster.clone(), snapshot);
    }

    fn load(&self, cluster: &ClusterName) -> Option<LoadSnapshot> {
        self.loads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(cluster)
            .copied()
    }
}
