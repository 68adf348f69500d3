//! One request: what every stage of its way may look at.

use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};

use crate::budget::Rates;
use crate::config::Config;
use crate::geo::{Coordinates, Location};
use crate::ids::RequestId;
use crate::observe::Event;
use crate::pipeline::state::Gateway;
use crate::platform::Platform;
use crate::time::Timestamp;

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
    location: Location,
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
    pub fn new(gateway: Arc<Gateway>, platform: P, config: Arc<Config>, location: Location) -> Rc<Self> {
        let id = RequestId::from_random(platform.random(), platform.random());
        let arrived = platform.now();
        Rc::new(Self {
            gateway,
            platform,
            config,
            id,
            arrived,
            rates: Cell::new(None),
            location,
        })
    }

    /// Something happened in the course of the request.
    pub fn tell(&self, event: &Event<'_>) {
        self.gateway.tell_of(Some(&self.id), || self.platform.now(), event);
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
        match select(pin!(work), pin!(self.platform.sleep(limit))).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// Where the request came in: as the platform tells, or else as the region that has the location's name.
    pub fn here(&self) -> Option<Coordinates> {
        let by_name = || Some(self.config.region(&self.location.code)?.coordinates);
        self.location.coordinates.or_else(by_name)
    }
}
