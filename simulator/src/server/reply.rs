//! What goes back to a client: a whole body, or a stream of which each item is written as it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};

use super::record::{Exchange, Outcome};

pub(super) type Reply = Response<ReplyBody>;

pub(super) type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A reply's body, which tells its exchange how it ended.
pub(super) struct ReplyBody {
    content: Content,
    exchange: Option<Exchange>,
}

enum Content {
    Whole(Bytes),
    Stream(ByteStream),
}

impl ReplyBody {
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Whole(bytes.into()),
            exchange: None,
        }
    }

    pub fn stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self {
            content: Content::Stream(Box::pin(stream)),
            exchange: None,
        }
    }

    /// From now on the exchange ends when the body does: finished, failed, or aborted when the body is dropped first.
    pub fn set_exchange(&mut self, exchange: Exchange) {
        self.exchange = Some(exchange);
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(exchange) = self.exchange.take() {
            exchange.settle(outcome);
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let item = match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => None,
            Content::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            Content::Stream(stream) => match stream.as_mut().poll_next(context) {
                Poll::Ready(item) => item,
                Poll::Pending => return Poll::Pending,
            },
        };
        match (&item, &self.content) {
            (None, _) | (Some(Ok(_)), Content::Whole(_)) => self.settle(Outcome::Finished),
            (Some(Err(_)), _) => self.settle(Outcome::Failed),
            (Some(Ok(_)), Content::Stream(_)) => {}
        }
        Poll::Ready(item.map(|item| item.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(_) => SizeHint::default(),
        }
    }
}

pub(super) fn json_reply(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    reply(status, "application/json", ReplyBody::whole(body))
}

pub(super) fn reply(status: StatusCode, content_type: &'static str, body: ReplyBody) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
