//! Bodies that come in: of clients' requests and of engines' responses.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{FutureExt, Stream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use js_sys::futures::JsFuture;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::ReadableStream;

use crate::glue::Pieces;

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
    },
}

impl Incoming {
    /// The body that `stream` gives piece by piece and `whole` in one go; the headers say how long it is.
    pub fn new(
        stream: Option<ReadableStream>,
        headers: &HeaderMap,
        whole: impl FnOnce() -> Result<Promise, JsValue>,
    ) -> Result<Self, JsValue> {
        let Some(stream) = stream else { return Ok(Self::Ended) };
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length <= SHORT) {
            return Ok(Self::Short(whole()?.into()));
        }
        let pieces = Pieces::new(&stream);
        Ok(Self::Long { pieces, next: None })
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
            Self::Long { pieces, next } => {
                let piece = ready!(next.get_or_insert_with(|| pieces.next().into()).poll_unpin(context));
                *next = None;
                piece
            }
        };
        Poll::Ready(match piece {
            Ok(piece) if piece.is_undefined() => {
                *self = Self::Ended;
                None
            }
            Ok(piece) => Some(Ok(piece.unchecked_into::<Uint8Array>().to_vec().into())),
            Err(error) => {
                *self = Self::Ended;
                Some(Err(error))
            }
        })
    }
}

/// The longest body, in bytes, that is read in one go when its length is announced.
const SHORT: usize = 1 << 16;
