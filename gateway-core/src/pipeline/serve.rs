//! Where a request enters and its response leaves, and where the paths of the API part.

use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};

use super::body::Body;
use super::context::Exchange;
use super::cors;
use super::endpoints::{admin, budgets, carry_out, explain, generate, models, probes, tokenize};
use super::entrance::Entrance;
use super::failure::Failure;
use super::intake::pass_over;
use super::maintain;
use super::records::Delivery;
use super::response;
use super::state::Gateway;
use crate::api::headers::X_REQUEST_ID;
use crate::api::{ApiError, Dialect, ErrorKind, RequestError, Route};
use crate::config::Config;
use crate::geo::Location;
use crate::ids::RequestId;
use crate::observe::Event;
use crate::platform::Platform;

impl Gateway {
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
        let (head, body) = request.into_parts();
        let route = Entrance::of(&head).admit(self.role(), Route::of(&head.method, head.uri.path()));
        // Whether the process runs is told without the store, which may hang.
        let known = if route == Route::Healthz {
            Ok(self.active_config.current())
        } else {
            maintain::current_config(self, &platform).await
        };
        let (config, unknown) = match known {
            Ok(config) => (config, None),
            Err(unknown) => (self.active_config.current(), Some(unknown)),
        };
        let location = location_of(&config, &head, location);
        let id = id_of_order(&route, &head);
        let exchange = Exchange::new(Arc::clone(self), platform, config, location, id);
        exchange.answer(&route, &head, body, unknown).await
    }

    /// Where a request would go, and why, by the configuration that the gateway has begun with; `asked` is the body of
    /// `POST /admin/v1/explain`. For tools that run a gateway which nobody else asks.
    pub async fn explain<P: Platform>(
        self: &Arc<Self>,
        platform: P,
        location: Location,
        asked: Bytes,
    ) -> Response<Body> {
        let config = self.active_config.current();
        let exchange = Exchange::new(Arc::clone(self), platform, config, location, None);
        let explained = explain(&exchange, &asked).await;
        explained.unwrap_or_else(|failure| response::error(Dialect::default(), &ApiError::from(failure)))
    }

    /// What a platform answers to every request where the configuration that it carries is damaged, so that there is no
    /// gateway: status 503. What is wrong belongs into its log; anybody may read this.
    pub fn misconfigured() -> Response<Body> {
        let message = "the gateway's configuration cannot be used; its log says why".to_owned();
        let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Server, message);
        response::error(Dialect::default(), &error.code("invalid_configuration"))
    }

    /// Looks for a newer configuration, and asks engines what they say of themselves. Requests do so too; this keeps both
    /// fresh where there are none.
    pub async fn maintain<P: Platform>(self: &Arc<Self>, platform: P) {
        maintain::refresh_config(self, &platform).await;
        self.poll_engines(&platform);
    }

    /// Asks engines what they say of themselves, behind the caller's back and where it is time for it. Nothing is lost when
    /// it is called more often than that.
    pub fn poll_engines<P: Platform>(self: &Arc<Self>, platform: &P) {
        maintain::poll_all(self, platform);
    }
}

/// The request's id at the edge, where it is an order.
fn id_of_order(route: &Route<'_>, head: &Parts) -> Option<RequestId> {
    let header = head.headers.get(X_REQUEST_ID)?;
    matches!(route, Route::Order(_)).then(|| RequestId::parse(header))?
}

/// Where the request came in: as a header says that the configuration trusts, or else the platform.
fn location_of(config: &Config, head: &Parts, told: Location) -> Location {
    let trusted = config.routing.location_headers.iter();
    let said = trusted.filter_map(|name| head.headers.get(name)?.to_str().ok()).next();
    said.map_or(told, Location::parse)
}

impl<P: Platform> Exchange<P> {
    /// `unknown` says why it is not known which configuration is in force; then only readiness is told.
    async fn answer<B, E>(
        self: Rc<Self>,
        route: &Route<'_>,
        head: &Parts,
        body: B,
        unknown: Option<Failure>,
    ) -> Response<Body>
    where
        B: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Display,
    {
        // Also where the client leaves before there is a response.
        let _delivery = Delivery::new(&self);
        let mut body = body.fuse();
        let result = match (cors::preflight(&self.config.cors, head), unknown) {
            (Some(answer), _) => answer.map_err(Failure::from),
            (None, Some(unknown)) if *route != Route::Readyz => Err(unknown),
            (None, Some(_) | None) => self.route(route, head, &mut body).await,
        };
        if result.is_err() && !body.is_done() {
            let passed_over = pass_over(&self.platform, &head.headers, &mut body);
            self.within(self.config.timeouts.request_body, passed_over).await;
        }
        let mut error = None;
        let mut response = result.unwrap_or_else(|failure| {
            let failed = ApiError::from(failure);
            error = failed.code;
            response::error(route.dialect(), &failed)
        });
        if head.method == Method::HEAD {
            response::leave_body_out(&mut response);
        }
        cors::share(&self.config.cors, head, response.headers_mut());
        let after = self.platform.now().since(self.arrived);
        response::sign(&mut response, &self.id, after);
        if let Some(rates) = self.rates.get() {
            response::tell_rates(&mut response, &rates);
        }
        self.tell(&Event::Responded {
            route: route.label(),
            status: response.status(),
            error,
            after,
        });
        response::explain(&mut response, &self.recorder);
        response
    }

    async fn route<B, E>(self: &Rc<Self>, route: &Route<'_>, head: &Parts, body: B) -> Result<Response<Body>, Failure>
    where
        B: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Display,
    {
        match route {
            Route::Generate(endpoint) => generate(self, *endpoint, head, body).await,
            Route::Order(endpoint) => carry_out(self, *endpoint, head, body).await,
            Route::OtherRole => Err(RequestError::OtherRole.into()),
            Route::Tokenize => tokenize(self, head, body).await,
            Route::Models => models::list(self, head),
            Route::Model(name) => models::one(self, head, name),
            Route::Healthz => Ok(response::json(Bytes::from_static(b"{\"status\":\"ok\"}"))),
            Route::Readyz => Ok(probes::readiness(self)),
            Route::Metrics => probes::metrics(self, head).await,
            Route::Usage => budgets::usage(self, head).await,
            Route::Admin(route) => admin::answer(self, *route, head, body).await,
            Route::MethodNotAllowed(allowed) => Err(RequestError::WrongMethod { allowed }.into()),
            Route::Responses => Err(RequestError::NoResponses.into()),
            Route::NotFound => Err(RequestError::NoSuchPath.into()),
        }
    }
}
