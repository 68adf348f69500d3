//! An answer in one piece, with the load header that vLLM adds on demand, and the faults that strike such a body.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, StatusCode, header};

use super::plan::Plan;
use super::shape::Usage;
use crate::server::connection::Connection;
use crate::server::driver::Ticket;
use crate::server::error::ApiError;
use crate::server::faults::{Break, DrawnFaults};
use crate::server::load_header::add_load_header;
use crate::server::record::Exchange;
use crate::server::reply::{Reply, ReplyBody, json_reply, reply as make_reply};
use crate::server::shared::Shared;

/// Waits for the whole answer.
pub(super) async fn reply(
    shared: &Shared,
    plan: Plan,
    ticket: Ticket,
    exchange: &Exchange,
    drawn: &DrawnFaults,
) -> Result<Reply, ApiError> {
    ticket.finished().await?;
    let usage = Usage::new(plan.prompt_tokens, plan.completion_tokens(), ticket.cached_tokens(0));
    let body = Bytes::from(plan.body(usage));
    let mut reply = match drawn.break_off() {
        None => json_reply(StatusCode::OK, body),
        Some((_, Break::Error(error))) => return Err(error),
        Some((_, Break::Malformed | Break::EndEarly)) => json_reply(StatusCode::OK, first_half(&body)),
        Some((_, kind @ (Break::Stall { .. } | Break::Cut { .. }))) => broken(&body, kind, exchange),
    };
    add_load_header(shared, exchange.parts(), &mut reply);
    Ok(reply)
}

/// The first half of the body, and then the fault.
fn broken(body: &Bytes, kind: Break, exchange: &Exchange) -> Reply {
    let first = first_half(body);
    let rest = body.slice(first.len()..);
    let connection = Connection::of(exchange.parts()).filter(|_| kind == Break::Cut { reset: true });
    let strike = async move {
        // The first half leaves before the fault strikes.
        tokio::task::yield_now().await;
        match kind {
            Break::Stall { for_ms: None } => futures::future::pending().await,
            Break::Stall { for_ms: Some(ms) } => tokio::time::sleep(Duration::from_millis(ms)).await,
            Break::Cut { .. } | Break::EndEarly | Break::Error(_) | Break::Malformed => {
                if let Some(connection) = connection {
                    connection.reset_on_close();
                }
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a fault"));
            }
        }
        Ok(rest)
    };
    let length = HeaderValue::from(body.len());
    let stream = futures::StreamExt::chain(stream::iter([Ok(first)]), stream::once(strike));
    let mut reply = make_reply(StatusCode::OK, "application/json", ReplyBody::stream(stream));
    reply.headers_mut().insert(header::CONTENT_LENGTH, length);
    reply
}

fn first_half(body: &Bytes) -> Bytes {
    body.slice(..body.len() / 2)
}
