//! Operators' paths: whoever may ask is let in here, and what they change is told.

use std::borrow::Cow;
use std::fmt::Display;

use bytes::Bytes;
use futures::Stream;
use http::request::Parts;
use http::{Method, Response};
use percent_encoding::percent_decode_str;

use super::explain::explain;
use super::{budgets, cache, canned, clusters, config, drains, requests, rollouts, scale, signals};
use crate::api::{AdminPath, AdminRoute, Right};
use crate::auth::{AdminKeyId, authenticate_admin};
use crate::observe::{AdminChange, Event};
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::receive;
use crate::platform::Platform;

/// An operator who asks.
#[derive(Clone, Copy)]
pub(super) struct Operator<'a, P> {
    pub exchange: &'a Exchange<P>,
    by: AdminKeyId,
}

impl<P: Platform> Operator<'_, P> {
    /// Tells of a change, once it is made.
    pub fn on_changed(&self, what: &'static str, which: &str, before: &str, after: &str) {
        self.exchange.tell(&Event::AdminChange(AdminChange {
            by: self.by,
            what,
            which,
            before,
            after,
        }));
    }
}

/// Answers below `/admin`.
///
/// # Errors
/// Where the key does not allow it, or what is asked for is wrong.
pub(in crate::pipeline) async fn answer<P, B, E>(
    exchange: &Exchange<P>,
    route: AdminRoute<'_>,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let by = authenticate_admin(&exchange.config.admin, &head.headers, route.right)?;
    let operator = Operator { exchange, by };
    let [first, second] = route.names.map(decoded);
    match (route.about, route.right) {
        (AdminPath::Config, Right::Read) => Ok(config::read(exchange)),
        (AdminPath::Config, Right::Write) => config::write(operator, head, body).await,
        (AdminPath::Canned, Right::Read) => Ok(canned::read(exchange)),
        (AdminPath::Canned, Right::Write) if head.method == Method::DELETE => canned::remove(operator).await,
        (AdminPath::Canned, Right::Write) => canned::write(operator, head, body).await,
        (AdminPath::Budgets, _) => budgets::list(exchange).await,
        (AdminPath::Budget, _) => budgets::change(operator, &format!("{first}/{second}"), head, body).await,
        (AdminPath::Clusters, _) => clusters::list(exchange).await,
        (AdminPath::Cluster, _) => clusters::one(exchange, &first).await,
        (AdminPath::Drain, _) => drains::change(operator, [&first, &second], head, body).await,
        (AdminPath::Rollouts, _) => rollouts::list(exchange).await,
        (AdminPath::Rollout, _) => rollouts::change(operator, &first, head, body).await,
        (AdminPath::Poll, _) => signals::poll(exchange, &first).await,
        (AdminPath::Requests, _) => requests::list(exchange, head),
        (AdminPath::Request, _) => requests::one(exchange, &first).await,
        (AdminPath::Explain, _) => {
            let asked = receive(exchange, &head.headers, body).await?;
            explain(exchange, &asked).await
        }
        (AdminPath::Cache, _) => cache::purge(operator, head).await,
        (AdminPath::Scales, _) => Ok(scale::list(exchange).await),
        (AdminPath::Scale, _) => scale::one(exchange, &first).await,
    }
}

fn decoded(name: &str) -> Cow<'_, str> {
    percent_decode_str(name).decode_utf8_lossy()
}
