//! How commands and states are written down, so that two versions of the gateway can run side by side on the same
//! cells. This version and the one before are read; docs/decisions/0014-two-versions-side-by-side.md tells when which
//! is written.

mod v3;
mod writers;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::v3::{CommandV3, StateV3};
pub(super) use self::writers::Writers;
use super::log::Entry;
use super::{CellCommand, CellError, CellState, TimedCell, decode, encode};
use crate::timeline::Timeline;

/// A version of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Commands carry all of a policy.
    V3,
    /// Policies have digests; a cluster's permits and what is known of its replicas are apart.
    V4,
}

impl Format {
    /// The version of this code.
    pub const CURRENT: Self = Self::V4;
    /// The version before, which is read as well.
    pub const BEFORE: Self = Self::V3;

    const READ: [Self; 2] = [Self::BEFORE, Self::CURRENT];

    /// What entries of logs begin with.
    fn of_entries(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// What records call it. Those of version 3 counted for themselves.
    fn of_records(self) -> u32 {
        match self {
            Self::V3 => 1,
            Self::V4 => 4,
        }
    }
}

/// An entry in the oldest version that can say it: the version, the time, the commands, then the latest version that the
/// writer reads. Where version 3 can say what permits are held, but not all that the cell is told, all of it stands behind
/// that once more. Readers of version 3 pass over what stands behind the commands.
///
/// # Errors
/// Never for commands that this crate makes.
pub(super) fn encode_entry(entry: &Entry) -> Result<Vec<u8>, CellError> {
    let Entry { at, commands, .. } = entry;
    let before: Option<Vec<_>> = commands.iter().map(CommandV3::of).collect();
    let malformed = |error: postcard::Error| CellError::Malformed(error.to_string());
    let reads = Format::CURRENT.of_entries();
    let Some(before) = before else {
        let bytes = postcard::to_allocvec(&(Format::V4.of_entries(), at, commands, reads));
        return bytes.map_err(malformed);
    };
    let bytes = postcard::to_allocvec(&(Format::V3.of_entries(), at, &before, reads)).map_err(malformed)?;
    let said: Vec<CellCommand> = before.into_iter().map(Into::into).collect();
    let bytes = if said == *commands {
        bytes
    } else {
        postcard::to_extend(commands, bytes).map_err(malformed)?
    };
    // A field that is left out, or of a kind that only tells itself in JSON, would be lost on everybody else.
    debug_assert_eq!(decode_entry(&bytes).as_ref(), Some(entry));
    Ok(bytes)
}

/// What an entry says; `None` where it is damaged or of a version that this code does not read.
pub(super) fn decode_entry(bytes: &[u8]) -> Option<Entry> {
    let (version, body) = bytes.split_first()?;
    let format = Format::READ
        .into_iter()
        .find(|format| format.of_entries() == *version)?;
    let (at, commands, rest) = match format {
        Format::V3 => {
            let ((at, commands), rest) = postcard::take_from_bytes::<(_, Vec<CommandV3>)>(body).ok()?;
            let whole = rest.get(1..).and_then(|behind| postcard::from_bytes(behind).ok());
            let commands = whole.unwrap_or_else(|| commands.into_iter().map(Into::into).collect());
            (at, commands, rest)
        }
        Format::V4 => {
            let ((at, commands), rest) = postcard::take_from_bytes(body).ok()?;
            (at, commands, rest)
        }
    };
    // Who says nothing of it reads what it writes.
    let reads = rest.first().unwrap_or(version);
    Some(Entry {
        at,
        commands,
        writer_is_current: *reads >= Format::CURRENT.of_entries(),
    })
}

/// A cell as a record, with who appends to the cell's log, if it has one: in the version before, since whoever reads no
/// other could not go on with the cell.
///
/// # Errors
/// Never for states that this crate makes.
pub(super) fn encode_record(cell: &TimedCell, writers: Option<Writers>) -> Result<Vec<u8>, CellError> {
    encode(&RecordOut {
        v: Format::BEFORE.of_records(),
        state: StateV3::of(cell.state()),
        writers,
        time: cell.time(),
    })
}

/// The cell that a record holds, and who appended to the cell's log.
///
/// # Errors
/// When the record is damaged or of a version that this code does not read.
pub(super) fn decode_record(record: &[u8]) -> Result<(TimedCell, Option<Writers>), CellError> {
    let RecordIn {
        v,
        state,
        writers,
        time,
    } = decode(record)?;
    let format = Format::READ.into_iter().find(|format| format.of_records() == v);
    let state = state.get().as_bytes();
    let state: CellState = match format {
        Some(Format::V3) => decode::<StateV3<'_>>(state)?.into(),
        Some(Format::V4) => decode(state)?,
        None => {
            return Err(CellError::Malformed(format!(
                "record of version {v}, this code reads {} and {}",
                Format::BEFORE.of_records(),
                Format::CURRENT.of_records()
            )));
        }
    };
    // The version before does not tell its time, but when a log was last used.
    let last = || writers.map(|writers| writers.last_used(state.latest()));
    let time = time.or_else(last);
    Ok((TimedCell::with(state, time), writers))
}

#[derive(Serialize)]
struct RecordOut<'a> {
    v: u32,
    state: StateV3<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    writers: Option<Writers>,
    /// What the state's moments are moments of. Version 3 passes over it, and takes them for moments of its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a Timeline>,
}

/// The state is read once it is known to be of a version that this code reads.
#[derive(Deserialize)]
struct RecordIn<'a> {
    v: u32,
    #[serde(borrow)]
    state: &'a RawValue,
    #[serde(default)]
    writers: Option<Writers>,
    #[serde(default)]
    time: Option<Timeline>,
}

#[cfg(test)]
mod tests;
