//! A request's body, within its bounds and in no more memory than it may have: decoded where it is compressed, and passed
//! over where nobody wants it.

use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};

use crate::api::{ContentCoding, RequestError};
use crate::ids::TenantName;
use crate::observe::Event;
use crate::pipeline::body_memory::{BodiesFull, BodyShare};
use crate::pipeline::collect::{CollectError, Pieces};
use crate::pipeline::context::Exchange;
use crate::pipeline::failure::Failure;
use crate::platform::Platform;

/// Reads the body of an operator's request to its end, and decodes it.
///
/// # Errors
/// When it is too large, too slow, or breaks off, or is in a content coding that is not read here.
pub(in crate::pipeline) async fn receive<P, B, E>(
    exchange: &Exchange<P>,
    headers: &HeaderMap,
    body: B,
) -> Result<Bytes, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    read(exchange, headers, body, |_| Ok(()), |_| ()).await
}

/// A body of a tenant's request, and its share of the memory for bodies, which it has until that is dropped.
#[derive(Debug)]
pub(in crate::pipeline) struct Received {
    pub body: Bytes,
    pub share: BodyShare,
}

/// Reads the body of a tenant's request to its end, and decodes it. `on_body` sees it as it was sent, before anything is made
/// of it.
///
/// # Errors
/// As [`receive`], and when there is no memory for it.
pub(in crate::pipeline) async fn receive_of<P, B, E>(
    exchange: &Exchange<P>,
    tenant: &TenantName,
    headers: &HeaderMap,
    body: B,
    on_body: impl FnOnce(&[u8]),
) -> Result<Received, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let mut share = BodyShare::new(&exchange.gateway.bodies, tenant);
    let hold = |bytes| share.resize(bytes, &exchange.config.sizes);
    let received = read(exchange, headers, body, hold, on_body).await;
    if let Err(Failure::Bodies(full)) = &received {
        exchange.tell(&Event::BodyRefused { bound: full.label() });
    }
    let body = received?;
    Ok(Received { body, share })
}

/// Reads a body to its end, and decodes it. `hold` hears, each time that this changes, how many bytes it takes; `on_body` sees
/// it as it was sent.
async fn read<P, B, E>(
    exchange: &Exchange<P>,
    headers: &HeaderMap,
    body: B,
    mut hold: impl FnMut(usize) -> Result<(), BodiesFull>,
    on_body: impl FnOnce(&[u8]),
) -> Result<Bytes, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let config = &exchange.config;
    let coding = ContentCoding::of(headers)?;
    let limit = exchange.most_body_bytes();
    let announced = announced(headers);
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(RequestError::TooLarge { limit }.into());
    }
    let whole = exchange.within(config.timeouts.request_body, read_whole(body, limit, &mut hold));
    let body = whole.await.unwrap_or_else(|| {
        let limit = config.timeouts.request_body;
        Err(RequestError::TooSlow { limit }.into())
    })?;
    if announced.is_some_and(|length| length != body.len() as u64) {
        let detail = format!("{} bytes of those announced", body.len());
        return Err(RequestError::Incomplete { detail }.into());
    }
    on_body(&body);
    let Some(coding) = coding else { return Ok(body) };
    let decoded = coding.decode(&body, limit)?;
    hold(body.len() + decoded.len())?;
    drop(body);
    hold(decoded.len())?;
    Ok(decoded)
}

async fn read_whole<B, E>(
    mut body: B,
    limit: usize,
    mut hold: impl FnMut(usize) -> Result<(), BodiesFull>,
) -> Result<Bytes, Failure>
where
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let mut pieces = Pieces::default();
    while let Some(piece) = body.next().await {
        let added = piece
            .map_err(CollectError::Broken)
            .and_then(|piece| pieces.add(piece, limit));
        added.map_err(|error| match error {
            CollectError::TooLarge => RequestError::TooLarge { limit },
            CollectError::Broken(error) => RequestError::Incomplete {
                detail: error.to_string(),
            },
        })?;
        hold(pieces.held_bytes())?;
    }
    Ok(pieces.into_bytes())
}

/// Reads what is left of the body of a request that was refused, and forgets it, until its end, a bound, or a pause. A
/// client that is still sending would lose its connection, and the refusal with it: whoever closes with bytes unread
/// resets. nginx calls it a lingering close; where the answer must come first, as on workerd, nothing can be read after.
pub(in crate::pipeline) async fn pass_over<P, B, E>(platform: &P, headers: &HeaderMap, body: &mut B)
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let waits_to_be_told = headers.contains_key(EXPECT);
    if waits_to_be_told || announced(headers).is_some_and(|length| length > MOST_PASSED_OVER) {
        return;
    }
    let mut passed = 0;
    while passed <= MOST_PASSED_OVER {
        match select(body.next(), pin!(platform.sleep(LONGEST_PAUSE))).await {
            Either::Left((Some(Ok(piece)), _)) => passed += piece.len() as u64,
            Either::Left((Some(Err(_)) | None, _)) | Either::Right(_) => return,
        }
    }
}

/// How long the body is by its headers, in bytes.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The largest body that any configuration takes, in bytes.
const MOST_PASSED_OVER: u64 = 64 << 20;
/// How long a client may pause before it counts as one that waits for the answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
