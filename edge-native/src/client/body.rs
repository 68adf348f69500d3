//! An engine's response body as it arrives. Read to its end it gives its connection back; dropped before, it closes
//! the connection, which tells the engine to stop generating.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use hyper::body::{Body, Incoming};
use tidegate_core::platform::SendError;

use super::broken;
use super::connect::Origin;
use super::connection::Connection;
use super::pool::Pool;
use crate::http::poll_data;

/// The body of a response.
#[derive(Debug)]
pub struct UpstreamBody {
    body: Incoming,
    lease: Option<Lease>,
}

#[derive(Debug)]
struct Lease {
    connection: Connection,
    origin: Origin,
    pool: Rc<Pool>,
}

impl UpstreamBody {
    /// A body that came over `connection`.
    pub fn new(body: Incoming, connection: Connection, origin: Origin, pool: &Rc<Pool>) -> Self {
        let mut body = Self {
            body,
            lease: Some(Lease {
                connection,
                origin,
                pool: Rc::clone(pool),
            }),
        };
        body.release_at_end();
        body
    }

    fn release_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(Lease {
            connection,
            origin,
            pool,
        }) = self.lease.take()
        {
            pool.put(origin, connection);
        }
    }
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, SendError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = match ready!(poll_data(&mut self.body, cx)) {
            Some(Ok(data)) => {
                self.release_at_end();
                Some(Ok(data))
            }
            Some(Err(error)) => {
                self.lease = None;
                Some(Err(broken(&error)))
            }
            None => {
                self.release();
                None
            }
        };
        Poll::Ready(item)
    }
}
