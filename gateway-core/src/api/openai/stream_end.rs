//! The proper end of a stream, an engine's and a client's: `data: [DONE]`.

use crate::api::sse::data_event;

/// Whether an event with that data is the end, also with white space around it.
pub fn is_end(data: &[u8]) -> bool {
    data.trim_ascii() == DONE.as_bytes()
}

/// Writes the end. No other place does.
pub fn write_end(out: &mut Vec<u8>) {
    data_event(DONE, out);
}

const DONE: &str = "[DONE]";
