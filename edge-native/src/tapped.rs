//! A stream of bytes, and something that sees what is read from it before its reader does. What is written passes untouched.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What sees it.
pub trait Tap: Unpin {
    /// Whether nothing is read any more: the reader finds an end.
    fn has_ended(&self) -> bool {
        false
    }

    /// `buffer` was read into; what came begins at `from`, and is empty at the stream's end.
    fn on_read(&mut self, buffer: &mut ReadBuf<'_>, from: usize);
}

/// The stream with it.
#[derive(Debug)]
pub struct Tapped<S, T> {
    stream: S,
    tap: T,
}

impl<S, T> Tapped<S, T> {
    /// Has `tap` see what is read from `stream`.
    pub fn new(stream: S, tap: T) -> Self {
        Self { stream, tap }
    }
}

impl<S: AsyncRead + Unpin, T: Tap> AsyncRead for Tapped<S, T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.tap.has_ended() {
            return Poll::Ready(Ok(()));
        }
        let from = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.tap.on_read(buffer, from);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, T: Tap> AsyncWrite for Tapped<S, T> {
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
