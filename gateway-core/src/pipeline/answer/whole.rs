//! A whole answer that its engine sent as one body.

use bytes::Bytes;

use super::{Listeners, Ruling};
use crate::api::{AnswerRewriter, NoAnswer};
use crate::ladder::AttemptError;
use crate::platform::Platform;

/// The answer as the client is to see it.
///
/// # Errors
/// When the body is none, or a detector says that it is of no use.
pub(in crate::pipeline) fn read_whole<P: Platform>(
    body: Bytes,
    rewriter: &AnswerRewriter,
    mut listeners: Listeners<P>,
) -> Result<Bytes, AttemptError> {
    let answer = match rewriter.rewrite_whole(&body) {
        Ok(answer) => answer,
        Err(NoAnswer::NotUtf8) => return read_whole(repaired(&body), rewriter, listeners),
        Err(error @ (NoAnswer::Error(_) | NoAnswer::NotJson)) => return Err(error.into()),
    };
    // What came whole costs nothing less for being cut.
    if let Some(error) = listeners.on_whole(&answer).and_then(Ruling::error) {
        return Err(error);
    }
    listeners.on_end(true);
    Ok(answer.body)
}

/// What is not UTF-8 in it, such as half a character, replaced.
fn repaired(body: &[u8]) -> Bytes {
    String::from_utf8_lossy(body).into_owned().into()
}
