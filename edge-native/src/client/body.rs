//! An engine's response body as it arrives. Read to its end it gives its connection back; dropped before, it closes
//! the connection, which tells the engine to stop generating.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use hyper::body::{Body, Incoming};
use tidegate_core::platform::SendError;

use super::broken;
use super::connection::Connection;
use super::pool::FreeConnections;
use crate::http::poll_data;

/// The body of a response.
#[derive(Debug)]
pub struct UpstreamBody {
    body: Incoming,
    /// `None` when nothing more comes.
    lease: Option<Lease>,
    /// How it broke, until that is told.
    failure: Option<SendError>,
}

#[derive(Debug)]
struct Lease {
    connection: Connection,
    home: Rc<FreeConnections>,
}

impl UpstreamBody {
    /// A body that comes over `connection`, which goes `home` afterwards.
    pub fn new(body: Incoming, connection: Connection, home: Rc<FreeConnections>) -> Self {
        let mut body = Self {
            body,
            lease: Some(Lease { connection, home }),
            failure: None,
        };
        body.release_at_end();
        body
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(lease) = &mut self.lease else {
            return Poll::Ready(None);
        };
        lease.connection.drive(cx);
        let piece = match ready!(poll_data(&mut self.body, cx)) {
            Some(Ok(piece)) => {
                self.release_at_end();
                Some(piece)
            }
            Some(Err(error)) => {
                self.lease = None;
                self.failure = Some(broken(&error));
                None
            }
            None => {
                self.release();
                None
            }
        };
        Poll::Ready(piece)
    }

    fn release_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(Lease { connection, home }) = self.lease.take() {
            home.put(connection);
        }
    }
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, SendError>;

    /// Pieces that have arrived together are handed over together: to copy a few hundred bytes costs less than a trip
    /// through the core for each event. One that comes alone is passed on as it is, and none waits for another.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(first) = ready!(self.poll_piece(cx)) else {
            return Poll::Ready(self.failure.take().map(Err));
        };
        let mut gathered = Gathered::One(first);
        while gathered.len() < GATHER_BYTES {
            let Poll::Ready(Some(piece)) = self.poll_piece(cx) else {
                break;
            };
            gathered = gathered.and(&piece);
        }
        Poll::Ready(Some(Ok(gathered.into_bytes())))
    }
}

enum Gathered {
    One(Bytes),
    Many(BytesMut),
}

impl Gathered {
    fn len(&self) -> usize {
        match self {
            Self::One(piece) => piece.len(),
            Self::Many(pieces) => pieces.len(),
        }
    }

    fn and(self, piece: &Bytes) -> Self {
        let mut pieces = match self {
            Self::One(first) => {
                let mut pieces = BytesMut::with_capacity(2 * (first.len() + piece.len()));
                pieces.extend_from_slice(&first);
                pieces
            }
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

/// Enough in one piece; large ones are not copied together.
const GATHER_BYTES: usize = 8 << 10;
