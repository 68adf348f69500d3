//! A request's body, within its bounds.

use std::fmt::Display;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures::future::{Either, select};
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::api::RequestError;
use crate::config::Limits;
use crate::platform::Platform;

/// Reads the body to its end.
///
/// # Errors
/// When it is too large, too slow, or breaks off.
pub(super) async fn receive<P, B, E>(
    platform: &P,
    headers: &HeaderMap,
    body: B,
    limits: &Limits,
) -> Result<Bytes, RequestError>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let limit = limits.request_body_bytes;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(RequestError::TooLarge { limit });
    }
    let whole = pin!(collect(body, limit));
    match select(whole, pin!(platform.sleep(limits.request_body))).await {
        Either::Left((Ok(body), _)) if announced.is_some_and(|length| length != body.len() as u64) => {
            Err(RequestError::Incomplete {
                detail: format!("{} bytes of those announced", body.len()),
            })
        }
        Either::Left((body, _)) => body,
        Either::Right(_) => Err(RequestError::TooSlow {
            limit: limits.request_body,
        }),
    }
}

async fn collect<B, E>(mut body: B, limit: usize) -> Result<Bytes, RequestError>
where
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let broken = |error: E| RequestError::Incomplete {
        detail: error.to_string(),
    };
    let first = body.next().await.transpose().map_err(broken)?.unwrap_or_default();
    let mut pieces = Pieces::One(first);
    while pieces.len() <= limit {
        match body.next().await.transpose().map_err(broken)? {
            Some(piece) => pieces = pieces.and(&piece),
            None => return Ok(pieces.into_bytes()),
        }
    }
    Err(RequestError::TooLarge { limit })
}

/// What has arrived. Most bodies come as one piece, which is not copied.
enum Pieces {
    One(Bytes),
    Many(BytesMut),
}

impl Pieces {
    fn len(&self) -> usize {
        match self {
            Self::One(piece) => piece.len(),
            Self::Many(pieces) => pieces.len(),
        }
    }

    fn and(self, piece: &[u8]) -> Self {
        let mut pieces = match self {
            Self::One(first) => BytesMut::from(first.as_ref()),
            Self::Many(pieces) => pieces,
        };
        pieces.extend_from_slice(piece);
        Self::Many(pieces)
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::One(piece) => piece,
            Self::Many(pieces) => pieces.freeze(),
        }
    }
}
