//! One request and its response: what every stage may look at, and where paths part.

use std::cell::Cell;
use std::fmt::Display;
use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::future::{Either, select};
use http::Response;
use http::request::Parts;

use super::body::Body;
use super::failure::Failure;
use super::generate::generate;
use super::tokenize::tokenize;
use super::{Gateway, admin, budgets, respond};
use crate::api::{ApiError, RequestError, Route};
use crate::budget::Rates;
use crate::config::Config;
use crate::geo::{Coordinates, Location};
use crate::ids::RequestId;
use crate::observe::Event;
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

    pub async fn serve<B, E>(self: Rc<Self>, head: &Parts, body: B) -> Response<Body>
    where
        B: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Display,
    {
        let route = Route::of(&head.method, head.uri.path());
        let result = self.answer(&route, head, body).await;
        let mut response = result.unwrap_or_else(|failure| respond::error(&ApiError::from(failure)));
        let after = self.platform.now().since(self.arrived);
        respond::sign(&mut response, &self.id, after);
        if let Some(rates) = self.rates.get() {
            respond::tell_rates(&mut response, &rates);
        }
        self.gateway.tell(&Event::Responded {
            id: &self.id,
            route: route.label(),
            status: response.status(),
            after,
        });
        response
    }

    async fn answer<B, E>(self: &Rc<Self>, route: &Route<'_>, head: &Parts, body: B) -> Result<Response<Body>, Failure>
    where
        B: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Display,
    {
        match route {
            Route::Generate(endpoint) => generate(self, *endpoint, head, body).await,
            Route::Tokenize => tokenize(self, head, body).await,
            Route::Models => admin::models(self, head),
            Route::Model(name) => admin::model(self, head, name),
            Route::Healthz => Ok(respond::json(Bytes::from_static(b"{\"status\":\"ok\"}"))),
            Route::Readyz => Ok(admin::readiness(self)),
            Route::Metrics => admin::metrics(self, head).await,
            Route::ReadConfig => admin::read_config(self, head),
            Route::Usage => budgets::usage(self, head).await,
            Route::Budgets => budgets::list(self, head).await,
            Route::Budget(asked) => budgets::change(self, asked, head, body).await,
            Route::WriteConfig => admin::write_config(self, head, body).await,
            Route::MethodNotAllowed(allowed) => Err(RequestError::WrongMethod { allowed }.into()),
            Route::NotFound => Err(RequestError::NoSuchPath.into()),
        }
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
        let stopped = self.gateway.stop.stopped();
        async move {
            match select(pin!(elapsed), stopped).await {
                Either::Left(_) => Paused::Elapsed,
                Either::Right(_) => Paused::Stopped,
            }
        }
    }

    /// Where the request came in: as the platform tells, or else as the region that has the location's name.
    pub fn here(&self) -> Option<Coordinates> {
        let by_name = || {
            let mut regions = self.config.regions.values();
            regions.find(|region| region.name.as_str().eq_ignore_ascii_case(&self.location.code))
        };
        self.location
            .coordinates
            .or_else(|| by_name().map(|region| region.coordinates))
    }
}
