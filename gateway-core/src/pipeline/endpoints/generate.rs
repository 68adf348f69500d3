//! A request to generate, from its head to the beginning of its answer. Each stage consumes what the stage before it
//! made, so that none can be left out or moved.

use std::fmt::Display;
use std::rc::Rc;

use bytes::Bytes;
use futures::Stream;
use http::Response;
use http::request::Parts;

use crate::api::Endpoint;
use crate::auth::authenticate;
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::delivery::{begin, reply_from_cache};
use crate::pipeline::entrance::Entrance;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{
    Order, Received, check_headers, count, decode, enter, enter_of_model, identify, note_asked, plan, receive_of,
    reserve,
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
    let mut reservation = enter(exchange, &caller, &head.headers).await?;
    let on_body = |body: &[u8]| reservation.on_body(body.len());
    let Received { body, share } = receive_of(exchange, &caller.tenant.name, &head.headers, body, on_body).await?;
    reservation.on_body(body.len());
    let mut decoded = decode(exchange, endpoint, caller, body)?;
    note_asked(exchange, &decoded);
    let (tenant, model) = (&decoded.caller.tenant, &decoded.model.name);
    enter_of_model(&mut reservation, tenant, model, &head.headers).await?;
    let looked = look_up(exchange, tenant, &decoded.model, &decoded.request, wishes.cache).await?;
    let (mut caching, mut batch) = (None, None);
    match looked {
        Looked::Bypass => {}
        Looked::Hit(hit) => return Ok(reply_from_cache(exchange, &decoded, &reservation, hit)),
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
    // From here on its tokens bound what it holds.
    drop(share);
    begin(order).await
}
