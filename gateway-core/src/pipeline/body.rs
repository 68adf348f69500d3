//! The body of a response.

use std::fmt;

use bytes::Bytes;
use futures::stream::LocalBoxStream;

/// What follows a response's head.
pub enum Body {
    /// All of it, at once.
    Full(Bytes),
    /// Pieces as they come. It never fails: errors are events inside. Dropping it says that the client has left.
    Stream(LocalBoxStream<'static, Bytes>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
