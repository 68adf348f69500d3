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
use worker::web_sys::{ReadableStream, ReadableStreamDefaultReader};

use crate::glue::Read;

/// A body as it arrives.
pub(crate) enum Incoming {
    /// It has none, or all of it has been given.
    Ended,
    /// A short one comes in one go: one wait instead of several.
    Short(JsFuture),
    /// Any other, piece by piece.
    Long(Pieces),
}

/// A stream that is being read.
pub(crate) struct Pieces {
    reader: ReadableStreamDefaultReader,
    next: Option<JsFuture>,
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
        let reader = stream.get_reader().unchecked_into();
        Ok(Self::Long(Pieces { reader, next: None }))
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
            Self::Long(pieces) => ready!(pieces.poll(context)),
        };
        if !matches!(piece, Some(Ok(_))) {
            *self = Self::Ended;
        }
        Poll::Ready(piece)
    }
}

impl Pieces {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, JsValue>>> {
        let next = self.next.get_or_insert_with(|| self.reader.read().into());
        let read = ready!(next.poll_unpin(context));
        self.next = None;
        Poll::Ready(match read {
            Ok(read) => {
                let read: Read = read.unchecked_into();
                (!read.done()).then(|| Ok(read.value().to_vec().into()))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

/// The longest body, in bytes, that is read in one go when its length is announced.
const SHORT: usize = 1 << 16;
