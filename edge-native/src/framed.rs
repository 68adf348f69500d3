//! A client's connection as hyper reads it: with an eye on how requests are framed, and on whether a head has begun. hyper
//! alone answers: what it must not take is kept from it, and a byte that no head may hold put in its place.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clients::Client;
use crate::requests::{Misframed, Requests};

/// The connection.
#[derive(Debug)]
pub struct Framed<S> {
    stream: S,
    requests: Requests,
    client: Rc<Client>,
    is_refused: bool,
}

impl<S> Framed<S> {
    /// The connection of that client.
    pub fn new(stream: S, client: Rc<Client>) -> Self {
        Self {
            stream,
            requests: Requests::default(),
            client,
            is_refused: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_refused {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if let Err(Misframed { sound }) = self.requests.read(&buffer.filled()[before..]) {
            self.is_refused = true;
            buffer.set_filled(before + sound);
            buffer.put_slice(NO_PART_OF_HTTP);
        }
        let is_within_head = self.requests.is_within_head();
        self.client.on_read(is_within_head);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// hyper answers a head that holds it with 400, and takes a body that holds it between chunks for broken off. There is room
/// for it: it stands where at least one byte stood.
const NO_PART_OF_HTTP: &[u8] = b"\0";
