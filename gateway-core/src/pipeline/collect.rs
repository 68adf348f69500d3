//! A whole body, of a client's request or an engine's answer, within a bound.

use bytes::Bytes;
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
    let mut pieces = Pieces::default();
    while let Some(piece) = body.next().await {
        pieces.add(piece.map_err(CollectError::Broken)?, limit)?;
    }
    Ok(pieces.into_bytes())
}

/// What has arrived of a body. Most come as one piece, which is not copied.
pub(super) enum Pieces {
    One(Bytes),
    Many(Vec<u8>),
}

impl Default for Pieces {
    fn default() -> Self {
        Self::One(Bytes::new())
    }
}

impl Pieces {
    /// Adds the next piece.
    ///
    /// # Errors
    /// When there are more than `limit` bytes then.
    pub fn add<E>(&mut self, piece: Bytes, limit: usize) -> Result<(), CollectError<E>> {
        if self.bytes().len() + piece.len() > limit {
            return Err(CollectError::TooLarge);
        }
        match self {
            Self::One(first) if first.is_empty() => *self = Self::One(piece),
            Self::One(first) => {
                let mut pieces = first.to_vec();
                append(&mut pieces, &piece, limit);
                *self = Self::Many(pieces);
            }
            Self::Many(pieces) => append(pieces, &piece, limit),
        }
        Ok(())
    }

    /// Bytes of memory that it takes.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::One(piece) => piece.len(),
            Self::Many(pieces) => pieces.capacity(),
        }
    }

    /// All of it.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::One(piece) => piece,
            Self::Many(pieces) => pieces.into(),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::One(piece) => piece,
            Self::Many(pieces) => pieces,
        }
    }
}

/// Puts a piece behind others. Memory is taken for twice as much at a time, but for no more than may come.
fn append(pieces: &mut Vec<u8>, piece: &[u8], limit: usize) {
    let length = pieces.len() + piece.len();
    if length > pieces.capacity() {
        let room = (2 * length).min(limit.max(length));
        pieces.reserve_exact(room - pieces.len());
    }
    pieces.extend_from_slice(piece);
}
