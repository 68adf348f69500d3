//! A request to generate, from its head to the beginning of its answer. Each stage consumes what the stage before it
//! made, so that none can be left out or moved. What it is refused for on its way may be told by a text (`instead.rs`).

use std::fmt::Display;
use std::rc::Rc;

use bytes::Bytes;
use futures::Stream;
use http::Response;
use http::request::Parts;

use super::instead::{Arriving, Asked, instead};
use crate::api::Endpoint;
use crate::auth::authenticate;
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::delivery::{begin, reply_from_cache};
use crate::pipeline::entrance::Entrance;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{
    Order, check_headers, count, decode, enter, enter_of_model, identify, note_asked, plan, reserve,
};
use crate::pipeline::recorder::Purpose;
use crate::pipeline::records;
use crate::pipeline::response_cache::{Looked, look_up};
use crate::platform::Platform;

/// Answers a request to generate.
pub(in crate::pipeline) async fn generate<P, B, E>(
    exchange: &Rc<Exchange<P>>,
    endpoint: Endpoint,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let caller = authenticate(&exchange.config, endpoint.dialect(), &head.headers)?;
    let wishes = check_headers(&exchange.config, Entrance::of(head), &head.headers)?;
    let purpose = if wishes.explains { Purpose::Tell } else { Purpose::Keep };
    records::begin(exchange, endpoint.label(), &caller, purpose);
    let asked = Asked {
        endpoint,
        caller: &caller,
        headers: &head.headers,
        wishes,
    };
    let mut arriving = Arriving::new(body);
    match prepare(exchange, asked, &mut arriving).await {
        Ok(Prepared::Order(order)) => {
            // From here on its tokens bound what it holds.
            drop(arriving);
            begin(*order).await
        }
        Ok(Prepared::Answered(response)) => Ok(response),
        Err(failure) => instead(exchange, asked, arriving, failure).await,
    }
}

/// What a request has come to before anybody else is asked.
enum Prepared<P: Platform> {
    /// To an order.
    Order(Box<Order<P>>),
    /// To an answer, from the response cache.
    Answered(Response<Body>),
}

/// Reads the request, and finds out what it is to be answered by.
async fn prepare<P, B, E>(
    exchange: &Rc<Exchange<P>>,
    asked: Asked<'_>,
    arriving: &mut Arriving<B>,
) -> Result<Prepared<P>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let Asked {
        endpoint,
        caller,
        headers,
        wishes,
    } = asked;
    let mut reservation = enter(exchange, caller, headers).await?;
    let on_body = |body: &[u8]| reservation.on_body(body.len());
    let body = arriving.receive(exchange, asked, on_body).await?;
    reservation.on_body(body.len());
    let mut decoded = decode(exchange, endpoint, caller.clone(), body)?;
    note_asked(exchange, &decoded);
    let (tenant, model) = (&decoded.caller.tenant, &decoded.model.name);
    enter_of_model(&mut reservation, tenant, model, headers).await?;
    let looked = look_up(exchange, tenant, &decoded.model, &decoded.request, wishes.cache).await?;
    let (mut caching, mut batch) = (None, None);
    match looked {
        Looked::Bypass => {}
        Looked::Hit(hit) => {
            let response = reply_from_cache(exchange, &decoded, &reservation, hit);
            return Ok(Prepared::Answered(response));
        }
        Looked::Miss(new) => caching = Some(new),
        Looked::Inputs(new, missing) => {
            batch = Some(new);
            decoded.request = missing.map_or(decoded.request, |missing| *missing);
        }
    }
    let identified = identify(exchange, decoded, wishes).await;
    let counted = count(exchange, identified).await?;
    let planned = plan(exchange, counted, wishes)?;
    let order = Order {
        caching,
        batch,
        ..reserve(exchange, planned, reservation).await?
    };
    Ok(Prepared::Order(Box::new(order)))
}
