//! Bodies between the host's streams of bytes and the core's streams of pieces, with the back-pressure of both.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::{Stream, StreamExt as _};
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response, Trailers};
use spin_sdk::wasip3::wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter};
use spin_sdk::wasip3::{wit_future, wit_stream};
use tidegate_core::BrokenOff;
use tidegate_core::pace::Pace;

use crate::clock;

/// How a body ended: its trailers, or why there is no more of it.
pub(crate) type End = Result<Option<Trailers>, ErrorCode>;

/// A body that arrives. The host is first asked for it when somebody reads.
pub(crate) struct IncomingBody(Reading);

/// A body that is sent: its two writing ends.
pub(crate) struct OutgoingBody {
    bytes: StreamWriter<u8>,
    end: FutureWriter<End>,
}

/// A message whose body can be read.
pub(crate) enum Message {
    /// A client's.
    Request(Request),
    /// An engine's.
    Response(Response),
}

enum Reading {
    /// Nobody has read.
    Unread {
        message: Message,
        length: Option<u64>,
        pace: Option<Pace>,
    },
    /// A piece is on its way.
    Waiting(LocalBoxFuture<'static, Read>),
    /// The last piece was passed on.
    Between(Reader),
    Ended,
}

struct Reader {
    bytes: StreamReader<u8>,
    end: FutureReader<End>,
    /// Bytes still to come, where the message told its length: with the last of them the body has ended, and the host
    /// need not be asked again.
    left: Option<u64>,
    /// Where pieces may be held back.
    pace: Option<Pace>,
    /// The host has no more of them.
    has_ended: bool,
}

enum Read {
    Piece(Bytes, Reader),
    Ended(End),
}

impl IncomingBody {
    /// The body of `message`, which has told its `length` or not. Its pieces may be held back for about so long.
    pub(crate) fn new(message: Message, length: Option<u64>, hold_back: Duration) -> Self {
        Self(if length == Some(0) {
            Reading::Ended
        } else {
            let pace = Pace::new(hold_back, clock::now());
            Reading::Unread { message, length, pace }
        })
    }

    /// From now on its pieces may be held back, if they may at all. One that is on its way is not.
    pub(crate) fn on_begun(&mut self) {
        match &mut self.0 {
            Reading::Unread { pace: Some(pace), .. } => pace.on_begun(),
            Reading::Between(Reader { pace: Some(pace), .. }) => pace.on_begun(),
            Reading::Unread { pace: None, .. } | Reading::Between(Reader { pace: None, .. }) => {}
            Reading::Waiting(_) | Reading::Ended => {}
        }
    }
}

impl Stream for IncomingBody {
    type Item = Result<Bytes, ErrorCode>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut waiting = match std::mem::replace(&mut self.0, Reading::Ended) {
            Reading::Ended => return Poll::Ready(None),
            Reading::Waiting(waiting) => waiting,
            Reading::Between(reader) => Box::pin(reader.read()),
            Reading::Unread { message, length, pace } => Box::pin(message.reader(length, pace).read()),
        };
        let Poll::Ready(read) = waiting.as_mut().poll(context) else {
            self.0 = Reading::Waiting(waiting);
            return Poll::Pending;
        };
        match read {
            Read::Piece(piece, reader) => {
                if reader.left != Some(0) {
                    self.0 = Reading::Between(reader);
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Read::Ended(Ok(_)) => Poll::Ready(None),
            Read::Ended(Err(error)) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl Message {
    fn reader(self, left: Option<u64>, pace: Option<Pace>) -> Reader {
        let (processing, processed) = wit_future::new(|| Ok(()));
        let (bytes, end) = match self {
            Self::Request(request) => Request::consume_body(request, processed),
            Self::Response(response) => Response::consume_body(response, processed),
        };
        // Tells the host that this side has no complaints. Told before the host listens, the word would have to wait,
        // and its being taken would wake the request.
        drop(processing);
        Reader {
            bytes,
            end,
            left,
            pace,
            has_ended: false,
        }
    }
}

impl Reader {
    async fn read(mut self) -> Read {
        let expected = self
            .left
            .map_or(USUAL_PIECE, |left| usize::try_from(left).unwrap_or(LARGEST_PIECE));
        let least = self.pace.as_ref().map_or(1, Pace::least).min(expected);
        let mut piece = Vec::with_capacity(expected.min(LARGEST_PIECE));
        while piece.len() < least && !self.has_ended {
            let (result, filled) = self.bytes.read(piece).await;
            piece = filled;
            self.has_ended = match result {
                StreamResult::Complete(_) => false,
                StreamResult::Dropped | StreamResult::Cancelled => true,
            };
        }
        if piece.is_empty() {
            return Read::Ended(self.end.await);
        }
        if let Some(pace) = &mut self.pace {
            pace.on_piece(piece.len(), clock::now());
        }
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        Read::Piece(piece.into(), self)
    }
}

impl OutgoingBody {
    /// A body, and what the host reads it by.
    pub(crate) fn new() -> (Self, StreamReader<u8>, FutureReader<End>) {
        let (bytes, bytes_reader) = wit_stream::new();
        let (end, end_reader) = wit_future::new(|| Ok(None));
        (Self { bytes, end }, bytes_reader, end_reader)
    }

    /// Sends all of `body`.
    pub(crate) async fn send(mut self, body: Bytes) {
        if self.write(body).await {
            self.finish().await;
        }
    }

    /// Sends pieces as they come. When nobody takes them any more, `pieces` is dropped at once.
    /// Where they break off, the host ends the connection in mid-body.
    pub(crate) async fn send_stream(mut self, mut pieces: impl Stream<Item = Result<Bytes, BrokenOff>> + Unpin) {
        while let Some(piece) = pieces.next().await {
            let Ok(piece) = piece else {
                return self.break_off().await;
            };
            if !self.write(piece).await {
                return;
            }
        }
        drop(pieces);
        self.finish().await;
    }

    /// Whether all of it was taken.
    async fn write(&mut self, piece: Bytes) -> bool {
        piece.is_empty() || self.bytes.write_all(piece.into()).await.is_empty()
    }

    async fn break_off(self) {
        drop(self.bytes);
        let error = ErrorCode::InternalError(Some(BrokenOff.to_string()));
        let _ = self.end.write(Err(error)).await;
    }

    async fn finish(self) {
        drop(self.bytes);
        // A reader that is gone needs no end.
        let _ = self.end.write(Ok(None)).await;
    }
}

/// The size of pieces that are asked for when the length of a body is not known: what a socket usually gives at once, and
/// more than is waited for.
const USUAL_PIECE: usize = 16 << 10;
/// The size of the largest piece that is asked for: room for it is taken before it arrives.
const LARGEST_PIECE: usize = 256 << 10;
