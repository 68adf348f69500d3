//! The body of a response.

use std::fmt;

use bytes::Bytes;
use futures::stream::LocalBoxStream;
use thiserror::Error;

/// What follows a response's head.
pub enum Body {
    /// All of it, at once.
    Full(Bytes),
    /// Pieces as they come. Dropping it says that the client has left. Where it breaks off, the client must not take what it
    /// has for whole: the connection, or its stream of HTTP/2, ends in mid-body. Server-sent events never do, since errors
    /// are events inside.
    Stream(LocalBoxStream<'static, Result<Bytes, BrokenOff>>),
}

/// A body has ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the answer broke off")]
pub struct BrokenOff;

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
