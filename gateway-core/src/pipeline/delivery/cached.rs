//! An answer from the response cache, with nobody else asked.

use http::Response;

use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::dispatch::ServedBy;
use crate::pipeline::intake::Decoded;
use crate::pipeline::leases::Reservation;
use crate::pipeline::response::{event_stream, json};
use crate::pipeline::response_cache::Hit;
use crate::platform::Platform;

/// The response to a request whose answer was found, which has reserved nothing yet but what it takes to come in.
pub(in crate::pipeline) fn reply_from_cache<P: Platform>(
    exchange: &Exchange<P>,
    decoded: &Decoded,
    reservation: &Reservation<P>,
    hit: Hit,
) -> Response<Body> {
    exchange.rates.set(reservation.rates());
    reservation.settle_cached(hit.usage, exchange.config.response_cache.hit_cost);
    let Hit { status, body, age, .. } = hit;
    let mut response = if decoded.request.stream {
        event_stream(Body::Full(body))
    } else {
        json(body)
    };
    let model = decoded.model.name.clone();
    ServedBy::Cache { status, model, age }.label(response.headers_mut());
    response
}
