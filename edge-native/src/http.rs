//! Between hyper's bodies and the core's: bytes are handed over as they are, none is copied.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use futures::stream::LocalBoxStream;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tidegate_core::{Body, BrokenOff};

use crate::clients::Client;
use crate::outbox::Outbox;

/// A client's request body as the core reads it. Trailers are dropped.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    read: usize,
    outbox: Outbox,
    client: Rc<Client>,
    is_awaited: bool,
}

impl RequestBody {
    /// The body of that client's request, on that outbox's thread.
    pub fn new(body: Incoming, outbox: Outbox, client: Rc<Client>) -> Self {
        Self {
            body,
            read: 0,
            outbox,
            client,
            is_awaited: false,
        }
    }

    fn on_awaited(&mut self, is_awaited: bool) {
        match (self.is_awaited, is_awaited) {
            (false, true) => self.client.on_body_awaited(),
            (true, false) => self.client.on_body_here(),
            (false, false) | (true, true) => {}
        }
        self.is_awaited = is_awaited;
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.on_awaited(false);
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, hyper::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = poll_data(&mut self.body, cx);
        match &polled {
            Poll::Pending => self.on_awaited(true),
            Poll::Ready(Some(Ok(piece))) => self.read += piece.len(),
            Poll::Ready(Some(Err(_)) | None) => self.on_awaited(false),
        }
        // Now the core reads it, which takes its time when it is long: nobody's answer has to wait for that.
        if matches!(polled, Poll::Ready(None)) && self.read >= LONG_BODY {
            self.outbox.send();
        }
        polled
    }
}

/// The next data of a body, past any trailers.
pub fn poll_data(body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
    loop {
        let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)?) else {
            return Poll::Ready(None);
        };
        if let Ok(data) = frame.into_data() {
            return Poll::Ready(Some(Ok(data)));
        }
    }
}

/// A body that is there as a whole, sent with its length.
#[derive(Debug)]
pub struct WholeBody(pub Bytes);

impl HttpBody for WholeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// The core's answer as hyper writes it. hyper drops it when the client leaves, and with it the stream's guards.
pub struct ResponseBody {
    body: Content,
    _answering: Answering,
}

enum Content {
    /// A complete body.
    Whole(WholeBody),
    /// A body as it comes, each piece flushed.
    Stream(LocalBoxStream<'static, Result<Bytes, BrokenOff>>),
}

/// A client's request that is being answered, until it is dropped.
#[derive(Debug)]
pub struct Answering(Rc<Client>);

impl Answering {
    /// A request has come from that client.
    pub fn begin(client: Rc<Client>) -> Self {
        client.on_request();
        Self(client)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.on_answered();
    }
}

impl ResponseBody {
    /// The body of the answer to that request.
    pub fn new(body: Body, answering: Answering) -> Self {
        let body = match body {
            Body::Full(bytes) => Content::Whole(WholeBody(bytes)),
            Body::Stream(stream) => Content::Stream(stream),
        };
        Self {
            body,
            _answering: answering,
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    /// After an error hyper ends the connection, or resets the stream, in mid-body.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.body {
            Content::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Content::Stream(stream) => {
                Poll::Ready(ready!(stream.as_mut().poll_next(cx)).map(|data| data.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Content::Whole(body) => body.is_end_stream(),
            Content::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Content::Whole(body) => body.size_hint(),
            Content::Stream(_) => SizeHint::default(),
        }
    }
}

/// To count a prompt of so many bytes takes about as long as a turn with many short ones.
const LONG_BODY: usize = 16 << 10;
