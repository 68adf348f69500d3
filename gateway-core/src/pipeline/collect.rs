//! A whole body, of a client's request or an engine's answer, within a bound.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};

/// Why a body did not come whole.
#[derive(Debug)]
pub(super) enum CollectError<E> {
    /// It is larger than the bound.
    TooLarge,
    /// It broke off.
    Broken(E),
}

/// Reads `body` to its end, of at most `limit` bytes.
///
/// # Errors
/// When it is larger, or breaks off.
pub(super) async fn collect<B, E>(mut body: B, limit: usize) -> Result<Bytes, CollectError<E>>
where
    B: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let Some(first) = body.next().await.transpose().map_err(CollectError::Broken)? else {
        return Ok(Bytes::new());
    };
    let mut pieces = Pieces::One(first);
    while pieces.len() <= limit {
        match body.next().await.transpose().map_err(CollectError::Broken)? {
            Some(piece) => pieces = pieces.and(&piece),
            None => return Ok(pieces.into_bytes()),
        }
    }
    Err(CollectError::TooLarge)
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
