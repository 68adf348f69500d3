//! Cells as rows of Spin's SQLite: a row is a state and its version, and a command is applied by writing the state
//! after it only where the version is still the one of the state before it.
//!
//! The instance remembers the state that it last wrote, so that a command costs one statement when no other instance
//! has written since, and three when one has. Statements block the instance, which is what keeps its own requests
//! from racing each other: the SQLite that Spin embeds answers in microseconds, and Spin starts further instances
//! while this one is blocked.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use spin_sdk::sqlite::wit::sqlite::Connection;
use spin_sdk::sqlite::{Error, Value};
use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wasip3::random::random::get_random_u64;
use tidegate_core::cells::{CellCommand, CellId, CellReply, CellState};
use tidegate_core::platform::CellError;
use tidegate_core::time::Timestamp;

use crate::clock;

/// The database, and the states that this instance wrote last.
#[derive(Default)]
pub(crate) struct Cells {
    database: OnceCell<Connection>,
    remembered: RefCell<BTreeMap<String, Row>>,
}

/// A state and its version; no version where there is no row yet.
struct Row {
    version: Option<i64>,
    state: CellState,
}

impl Cells {
    /// Runs one command.
    ///
    /// # Errors
    /// When the database cannot be reached, holds what this code does not read, or other instances are always
    /// quicker.
    pub(crate) async fn call(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        let key = id.key();
        for attempt in 0..MOST_ATTEMPTS {
            if attempt >= EAGER_ATTEMPTS {
                monotonic_clock::wait_for(get_random_u64() % LONGEST_PAUSE_NS).await;
            }
            if let Some(reply) = self.try_call(id, &key, command.clone())? {
                return Ok(reply);
            }
        }
        Err(CellError::Unreachable(format!(
            "{MOST_ATTEMPTS} times in a row another instance wrote first"
        )))
    }

    /// Runs one command, or returns `None` when another instance wrote first.
    fn try_call(&self, id: &CellId, key: &str, command: CellCommand) -> Result<Option<CellReply>, CellError> {
        let database = self.database()?;
        let remembered = self.remembered.borrow_mut().remove(key);
        let Row { version, mut state } = remembered.map_or_else(|| read(database, id, key), Ok)?;
        let now = clock::now();
        let reply = state.apply(now, command);
        let next = next_version(version, now);
        if !write(database, key, version, next, state.to_record()?, now)? {
            return Ok(None);
        }
        self.remembered.borrow_mut().insert(
            key.to_owned(),
            Row {
                version: Some(next),
                state,
            },
        );
        Ok(Some(reply))
    }

    fn database(&self) -> Result<&Connection, CellError> {
        if let Some(database) = self.database.get() {
            return Ok(database);
        }
        let database = open()?;
        Ok(self.database.get_or_init(|| database))
    }
}

fn open() -> Result<Connection, CellError> {
    let database = Connection::open("default").map_err(unreachable)?;
    for statement in SETTINGS {
        // A database elsewhere may not know them, and does without.
        let _ = database.execute(statement, &[]);
    }
    database.execute(CREATE, &[]).map_err(unreachable)?;
    let forgotten = clock::now() - FORGOTTEN_AFTER;
    database
        .execute(FORGET, &[integer(forgotten.as_secs())])
        .map_err(unreachable)?;
    Ok(database)
}

fn read(database: &Connection, id: &CellId, key: &str) -> Result<Row, CellError> {
    let result = database
        .execute(READ, &[Value::Text(key.to_owned())])
        .map_err(unreachable)?;
    match result.rows.first().map(|row| &row.values[..]) {
        None => Ok(Row {
            version: None,
            state: CellState::new(id),
        }),
        Some([Value::Integer(version), Value::Blob(record)]) => Ok(Row {
            version: Some(*version),
            state: CellState::from_record(record)?,
        }),
        Some(_) => Err(CellError::Malformed(format!("the row of {key}"))),
    }
}

/// Writes the state if the version is still `expected`; false when it is not.
fn write(
    database: &Connection,
    key: &str,
    expected: Option<i64>,
    next: i64,
    record: Vec<u8>,
    now: Timestamp,
) -> Result<bool, CellError> {
    let parameters = [
        Value::Text(key.to_owned()),
        Value::Integer(next),
        Value::Blob(record),
        integer(now.as_secs()),
        expected.map_or(Value::Null, Value::Integer),
    ];
    Ok(!database
        .execute(WRITE, &parameters)
        .map_err(unreachable)?
        .rows
        .is_empty())
}

/// The first version is the time, so that a row which was forgotten and made again has none of its old versions.
fn next_version(version: Option<i64>, now: Timestamp) -> i64 {
    version.map_or_else(|| now.as_micros().cast_signed(), |version| version.wrapping_add(1))
}

fn integer(number: u64) -> Value {
    Value::Integer(number.cast_signed())
}

fn unreachable(error: Error) -> CellError {
    CellError::Unreachable(error.to_string())
}

/// A cell holds figures of the moment: nothing is lost if the last writes are, so no commit waits for the disk.
const SETTINGS: [&str; 2] = ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"];
const CREATE: &str = "CREATE TABLE IF NOT EXISTS tidegate_cells \
    (key TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL, used INTEGER NOT NULL)";
const FORGET: &str = "DELETE FROM tidegate_cells WHERE used < ?";
const READ: &str = "SELECT version, state FROM tidegate_cells WHERE key = ?";
/// Returns a row if it wrote one.
const WRITE: &str = "INSERT INTO tidegate_cells (key, version, state, used) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, state = excluded.state, used = excluded.used \
    WHERE tidegate_cells.version = ?5 RETURNING version";

/// A cell that nobody used for this long belongs to a cluster that is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a command is tried in all.
const MOST_ATTEMPTS: u32 = 64;
/// How often it is tried without a pause between.
const EAGER_ATTEMPTS: u32 = 4;
/// The longest pause between tries; each is drawn at random.
const LONGEST_PAUSE_NS: u64 = 4_000_000;
