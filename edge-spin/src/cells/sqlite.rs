//! The logs of the cells in Spin's SQLite, and snapshots of their states that let logs be short.
//!
//! Appending is one statement, which returns what others appended meanwhile. Now and then the instance that appended
//! writes a snapshot and removes all but [`KEPT`] of the entries before it.

use std::cell::OnceCell;
use std::time::Duration;

use spin_sdk::sqlite::{Connection, Error, RowResult, Value};
use spin_sdk::wasip3::random::random::get_random_u64;
use tidegate_core::cells::log::{Entry, KEPT, ReplayedCell};
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};

use super::{Log, set_back};
use crate::{clock, log};

/// The default database, opened when it is first needed.
#[derive(Default)]
pub(crate) struct Sqlite(OnceCell<Connection>);

impl Log for Sqlite {
    type Replayed = ReplayedCell;

    async fn append(
        &self,
        id: &CellId,
        replayed: &mut Option<ReplayedCell>,
        commands: Vec<CellCommand>,
    ) -> Result<Vec<CellReply>, CellError> {
        let mut cell = match replayed.take() {
            Some(cell) => cell,
            None => self.load_before(id, i64::MAX).await?,
        };
        let entry = Entry::new(clock::wall(), commands);
        let parameters = [key(id), Value::Blob(entry.encode()?), integer(cell.number())];
        let row = self.run(APPEND, parameters).await?;
        let Some([Value::Integer(number), others]) = row.as_deref() else {
            return Err(CellError::Malformed(format!("appending to {}", id.key())));
        };
        let number = *number;
        replay(&mut cell, others, Some(number));
        if next(&cell) != number {
            // The log was cut while this instance was away.
            cell = self.load_before(id, number).await?;
        }
        if next(&cell) != number {
            return Err(CellError::Unreachable(
                "the log was cut before the reply was found".to_owned(),
            ));
        }
        let replies = cell.apply(Some(entry));
        if let Err(error) = self.write_down(id, &cell).await {
            log::warn(&format!("no snapshot of {}: {error}", id.key()));
        }
        if let Some(by) = cell.take_set_back() {
            log::warn(&set_back(id, by));
        }
        *replayed = Some(cell);
        Ok(replies)
    }
}

impl Sqlite {
    /// The state before the entry `number`, as far as the snapshot is not later.
    async fn load_before(&self, id: &CellId, number: i64) -> Result<ReplayedCell, CellError> {
        let load = || self.run(LOAD, [key(id), Value::Integer(number)]);
        let row = match load().await {
            Ok(row) => row,
            // In a new database. Asking first whether it is one would cost every instance a statement.
            Err(_) => {
                self.make_tables().await?;
                load().await?
            }
        };
        let (mut cell, entries) = match row.as_deref() {
            // That a passing cell has begun is no snapshot.
            Some([Value::Integer(0) | Value::Null, _, entries]) => (ReplayedCell::new(id), entries),
            Some([Value::Integer(number), Value::Blob(record), entries]) => {
                (ReplayedCell::from_snapshot(number.cast_unsigned(), record)?, entries)
            }
            _ => return Err(CellError::Malformed(format!("the snapshot of {}", id.key()))),
        };
        replay(&mut cell, entries, None);
        Ok(cell)
    }

    /// Writes a snapshot, if this instance is to write one, and when a passing cell begins, so that it is found when it is
    /// to be forgotten.
    async fn write_down(&self, id: &CellId, cell: &ReplayedCell) -> Result<(), CellError> {
        if id.is_passing() && cell.number() == 1 {
            let now = integer(clock::wall().as_secs());
            self.run(BEGIN_PASSING, [key(id), now]).await?;
        }
        self.snapshot(id, cell).await
    }

    /// Writes a snapshot, if this instance is to write one.
    async fn snapshot(&self, id: &CellId, cell: &ReplayedCell) -> Result<(), CellError> {
        let Some(record) = cell.due_snapshot()? else {
            return Ok(());
        };
        let (number, now) = (cell.number(), integer(clock::wall().as_secs()));
        self.run(SNAPSHOT, [key(id), integer(number), Value::Blob(record), now])
            .await?;
        self.run(CUT, [key(id), integer(number.saturating_sub(KEPT))]).await?;
        Ok(())
    }

    async fn make_tables(&self) -> Result<(), CellError> {
        // A database elsewhere may not know of journals, and does without.
        let _ = self.run(JOURNAL, []).await;
        for table in TABLES {
            self.run(table, []).await?;
        }
        Ok(())
    }

    async fn run<const N: usize>(
        &self,
        statement: &str,
        parameters: [Value; N],
    ) -> Result<Option<Vec<Value>>, CellError> {
        let connection = match self.0.get() {
            Some(connection) => connection,
            None => {
                let connection = open().await.map_err(unreachable)?;
                self.0.get_or_init(|| connection)
            }
        };
        let row = execute(connection, statement, parameters).await.map_err(unreachable)?;
        Ok(row.map(|row| row.values))
    }
}

/// Applies the entries that end before the entry `number`, or the last ones, as the statements return them. Where the
/// log was cut, those in between are missing and nothing is applied.
fn replay(cell: &mut ReplayedCell, entries: &Value, number: Option<i64>) {
    let Value::Text(entries) = entries else {
        return;
    };
    let missing = number.map_or(0, |number| number - next(cell) - entries.split(' ').count() as i64);
    if missing == 0 {
        entries.split(' ').for_each(|entry| drop(cell.apply(decode(entry))));
    }
}

/// The number of the entry after those that are in it.
fn next(cell: &ReplayedCell) -> i64 {
    cell.number().cast_signed() + 1
}

fn decode(hex: &str) -> Option<Entry> {
    let entry = from_hex(hex).and_then(|bytes| Entry::decode(&bytes));
    if entry.is_none() {
        log::warn("an entry of a cell is left out: it is damaged or of another version");
    }
    entry
}

/// Opens the database.
async fn open() -> Result<Connection, Error> {
    let connection = Connection::open_default().await?;
    let _ = execute(&connection, DO_NOT_SYNC, []).await;
    if get_random_u64().is_multiple_of(FORGETS_ONE_IN) {
        // A new database has no tables yet, and nothing to forget.
        let before = |age| integer((clock::wall() - age).as_secs());
        let _ = execute(&connection, FORGET, [before(FORGOTTEN_AFTER)]).await;
        for statement in FORGET_PASSING {
            let _ = execute(&connection, statement, [before(PASSING_FORGOTTEN_AFTER)]).await;
        }
    }
    Ok(connection)
}

/// Runs a statement that returns at most one row.
async fn execute<const N: usize>(
    connection: &Connection,
    statement: &str,
    parameters: [Value; N],
) -> Result<Option<RowResult>, Error> {
    let mut result = connection.execute(statement, parameters).await?;
    match result.next().await {
        Some(row) => Ok(Some(row)),
        None => result.result().await.map(|()| None),
    }
}

fn key(id: &CellId) -> Value {
    Value::Text(id.key())
}

fn integer(number: u64) -> Value {
    Value::Integer(number.cast_signed())
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    for pair in hex.as_bytes().chunks(2) {
        bytes.push(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
    }
    Some(bytes)
}

/// SQLite writes capitals.
fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn unreachable(error: Error) -> CellError {
    CellError::Unreachable(error.to_string())
}

/// Kept in the file. Writers then append, and a crash of the process leaves a sound database behind.
const JOURNAL: &str = "PRAGMA journal_mode = WAL";
/// A cell holds figures of the moment, which heal: no write waits for the disk.
const DO_NOT_SYNC: &str = "PRAGMA synchronous = OFF";
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS tidegate_entries \
     (key TEXT NOT NULL, number INTEGER NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (key, number)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS tidegate_snapshots \
     (key TEXT PRIMARY KEY, number INTEGER NOT NULL, state BLOB NOT NULL, used INTEGER NOT NULL)",
];
/// Parameters: key, entry, the number of the last entry seen. Returns the new entry's number, and the entries between.
const APPEND: &str = "INSERT INTO tidegate_entries (key, number, entry) \
    SELECT ?1, 1 + coalesce( \
        (SELECT max(number) FROM tidegate_entries WHERE key = ?1), \
        (SELECT number FROM tidegate_snapshots WHERE key = ?1), 0), ?2 \
    RETURNING number, \
        (SELECT group_concat(hex(other.entry), ' ') FROM \
            (SELECT number, entry FROM tidegate_entries \
             WHERE key = ?1 AND number > ?3 ORDER BY number) AS other \
         WHERE other.number < tidegate_entries.number)";
/// Parameters: key, the number before which to stop. Returns the snapshot, and the entries since.
const LOAD: &str = "SELECT snapshot.number, snapshot.state, \
        (SELECT group_concat(hex(entry), ' ') FROM \
            (SELECT number, entry FROM tidegate_entries \
             WHERE key = ?1 AND number > coalesce(snapshot.number, 0) AND number < ?2 ORDER BY number)) \
    FROM (SELECT 1) LEFT JOIN tidegate_snapshots AS snapshot ON snapshot.key = ?1";
/// Parameters: key, number, state, the time in seconds.
const SNAPSHOT: &str = "INSERT INTO tidegate_snapshots (key, number, state, used) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (key) DO UPDATE SET number = excluded.number, state = excluded.state, used = excluded.used \
    WHERE excluded.number > number";
/// Parameters: key, the number of the last entry that nobody needs.
const CUT: &str = "DELETE FROM tidegate_entries WHERE key = ?1 AND number <= ?2";
const FORGET: &str = "DELETE FROM tidegate_snapshots WHERE used < ?1";
/// Parameters: key, the time in seconds.
const BEGIN_PASSING: &str = "INSERT INTO tidegate_snapshots (key, number, state, used) VALUES (?1, 0, x'', ?2) \
    ON CONFLICT (key) DO UPDATE SET used = excluded.used";
/// Parameter: the time in seconds before which passing cells have begun that are forgotten, with their logs. Their keys begin
/// with `flight/`; zero comes after the slash.
const FORGET_PASSING: [&str; 2] = [
    "DELETE FROM tidegate_entries WHERE key IN (SELECT key FROM tidegate_snapshots \
        WHERE key > 'flight/' AND key < 'flight0' AND used < ?1)",
    "DELETE FROM tidegate_snapshots WHERE key > 'flight/' AND key < 'flight0' AND used < ?1",
];

/// A cell that nobody used for this long belongs to a cluster or a tenant that is gone. In Redis it is as long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(8 * 24 * 60 * 60);
/// A passing cell began so long ago that what it keeps is of no use. In Redis it is as long.
const PASSING_FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);
/// One in so many instances looks for cells to forget.
const FORGETS_ONE_IN: u64 = 32;

#[cfg(test)]
mod tests {
    use tidegate_core::cells::CellCall;
    use tidegate_core::cluster::{Capacity, HeldPermit, PermitId, ReadReplicas, Renew};
    use tidegate_core::ids::Tokens;
    use tidegate_core::time::Timestamp;

    use super::*;

    fn renewal(permit: u64) -> Entry {
        let held = HeldPermit {
            permit: PermitId(permit),
            replica: "http://a.test".into(),
            capacity: Capacity::of_one(Tokens(7)),
        };
        let ttl = Duration::from_secs(30);
        let held = vec![held];
        let commands = vec![Renew { held, ttl }.into_command()];
        Entry::new(Timestamp::from_millis(1_000), commands)
    }

    /// Entries as a statement returns them.
    fn returned(entries: &[Entry]) -> Value {
        let hex = |entry: &Entry| {
            entry
                .encode()
                .expect("an entry")
                .iter()
                .map(|byte| format!("{byte:02X}"))
                .collect()
        };
        Value::Text(entries.iter().map(hex).collect::<Vec<String>>().join(" "))
    }

    /// A cell after so many entries.
    fn cell(number: u64) -> ReplayedCell {
        let mut cell = ReplayedCell::new(&CellId::Cluster("a".into()));
        (0..number).for_each(|_| drop(cell.apply(None)));
        cell
    }

    fn running(cell: &ReplayedCell) -> u32 {
        let status = Entry::new(Timestamp::from_millis(1_000), vec![ReadReplicas.into_command()]);
        let reply = cell.clone().apply(Some(status)).remove(0);
        let replicas = ReadReplicas::read(reply).expect("a status");
        replicas.iter().map(|replica| replica.running).sum()
    }

    #[test]
    fn what_others_appended_is_replayed_in_full() {
        let mut cell = cell(4);
        replay(&mut cell, &returned(&[renewal(1), renewal(2)]), Some(7));
        assert_eq!((cell.number(), running(&cell)), (6, 2));
        replay(&mut cell, &Value::Null, Some(7));
        assert_eq!(cell.number(), 6);
    }

    #[test]
    fn nothing_is_replayed_where_the_log_was_cut() {
        let mut cell = cell(4);
        replay(&mut cell, &returned(&[renewal(1), renewal(2)]), Some(8));
        assert_eq!((cell.number(), running(&cell)), (4, 0));
    }

    #[test]
    fn an_entry_that_is_not_understood_counts_but_does_nothing() {
        let mut cell = cell(0);
        let Value::Text(known) = returned(&[renewal(1)]) else {
            panic!("text")
        };
        let other_version = format!("02{}", &known[2..]);
        replay(&mut cell, &Value::Text(format!("{other_version} xyz {known}")), None);
        assert_eq!((cell.number(), running(&cell)), (3, 1));
    }
}
