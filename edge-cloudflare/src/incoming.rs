//! Bodies that come in: of clients' requests and of engines' responses.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, Stream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use js_sys::futures::JsFuture;
use js_sys::{Promise, Uint8Array};
use tidegate_core::pace::Pace;
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::ReadableStream;

use crate::glue::{self, Pieces};
use crate::platform::now;

/// A body as it arrives.
pub(crate) enum Incoming {
    /// It has none, or all of it has been given.
    Ended,
    /// A short one comes in one go: one wait instead of several.
    Short(JsFuture),
    /// Any other, piece by piece.
    Long {
        /// The pieces.
        pieces: Pieces,
        /// The next of them, when it has been asked for.
        next: Option<JsFuture>,
        /// Where they may be held back.
        pace: Option<Pace>,
    },
}

impl Incoming {
    /// The body that `stream` gives piece by piece, each held back for about so long that more may come with it, and
    /// `whole` in one go; the headers say how long it is.
    pub fn new(
        stream: Option<ReadableStream>,
        headers: &HeaderMap,
        hold_back: Duration,
        whole: impl FnOnce() -> Result<Promise, JsValue>,
    ) -> Result<Self, JsValue> {
        let Some(stream) = stream else { return Ok(Self::Ended) };
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length <= SHORT) {
            return Ok(Self::Short(whole()?.into()));
        }
        let pace = Pace::new(hold_back, now());
        let pieces = glue::pieces(&stream, pace.is_some());
        Ok(Self::Long {
            pieces,
            next: None,
            pace,
        })
    }

    /// Whether nothing more comes.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, JsValue>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match &mut *self {
            Self::Ended => return Poll::Ready(None),
            Self::Short(whole) => {
                let buffer = ready!(whole.poll_unpin(context));
                *self = Self::Ended;
                return Poll::Ready(Some(buffer.map(|buffer| Uint8Array::new(&buffer).to_vec().into())));
            }
            Self::Long { pieces, next, pace } => {
                let ask = || pieces.next(pace.as_ref().map_or(1, Pace::least)).into();
                let piece = ready!(next.get_or_insert_with(ask).poll_unpin(context));
                *next = None;
                piece.map(|piece| bytes_of(piece, pace.as_mut()))
            }
        };
        let piece = piece.transpose();
        if !matches!(piece, Some(Ok(_))) {
            *self = Self::Ended;
        }
        Poll::Ready(piece)
    }
}

/// The bytes of a piece; `None` at the end.
fn bytes_of(piece: JsValue, pace: Option<&mut Pace>) -> Option<Bytes> {
    if piece.is_undefined() {
        return None;
    }
    let bytes = piece.unchecked_into::<Uint8Array>().to_vec();
    if let Some(pace) = pace {
        pace.on_piece(bytes.len(), now());
    }
    Some(bytes.into())
}

/// The longest body, in bytes, that is read in one go when its length is announced.
const SHORT: usize = 1 << 16;
