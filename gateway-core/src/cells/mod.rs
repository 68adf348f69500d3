//! Cells: where shared state is exact. A cell is a small state machine that the runtime runs one command at a time;
//! what kinds there are, how they are addressed, and how they and their messages are written down.

pub mod append_batch;
mod call;
mod format;
mod held;
mod id;
pub mod log;
pub mod redis;
mod silent;
mod state;
mod timed;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use call::{CellCall, CellCommand, CellReply};
pub use held::HeldCalls;
pub use id::{CellAddress, CellId};
pub use silent::SilentCells;
pub use state::{Applied, CellState};
pub use timed::TimedCell;

/// Why a cell did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CellError {
    /// The runtime could not reach the cell.
    #[error("cell unreachable: {0}")]
    Unreachable(String),
    /// Another version's record or message, or a damaged one.
    #[error("cell record or message not understood: {0}")]
    Malformed(String),
}

/// A command or reply as bytes, for runtimes whose cells are reached by messages.
///
/// # Errors
/// Never for messages that this crate makes.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, CellError> {
    serde_json::to_vec(message).map_err(|error| CellError::Malformed(error.to_string()))
}

/// The command or reply that `bytes` holds.
///
/// # Errors
/// When the bytes are damaged or of another version's making.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CellError> {
    serde_json::from_slice(bytes).map_err(|error| CellError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::format::encode_record;
    use super::*;
    use crate::time::Timestamp;
    use crate::tokens::{Estimator, Reports, Uncorrected};

    #[test]
    fn an_estimate_is_a_record_like_any_state() {
        let now = Timestamp::default();
        let mut cell = TimedCell::new(&CellId::Estimate("model".into()));
        let prompt = Uncorrected::of_json([&[b'a'; 480][..]].into_iter(), None);
        let observed = Estimator::default().observe(&prompt, crate::ids::Tokens(130)).unwrap();
        let reports = Reports::from(vec![("acme".into(), observed)]);
        cell.apply(now, CellCommand::Estimate(reports));
        let record = encode_record(&cell, None).unwrap();
        assert_eq!(TimedCell::from_record(&record).as_ref(), Ok(&cell));
        assert!(record.len() < 256, "{}", String::from_utf8_lossy(&record));
    }
}
