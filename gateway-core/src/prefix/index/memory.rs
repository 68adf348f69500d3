//! What a process, isolate or instance remembers of rows, those that are not there included; and which rows it is about
//! to write. It reads and writes nothing itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{Row, RowKey};
use crate::time::Timestamp;

/// The rows that were read or written last.
#[derive(Debug, Default)]
pub struct IndexMemory {
    rows: BTreeMap<RowKey, Remembered>,
    /// The same keys, that of the row which came first at the front.
    order: VecDeque<RowKey>,
    writes: BTreeMap<RowKey, Write>,
}

#[derive(Debug)]
struct Remembered {
    row: Option<Arc<Row>>,
    until: Timestamp,
}

/// The writes of one row.
#[derive(Debug)]
struct Write {
    /// When the last one was due, or is.
    due: Timestamp,
    /// What is to be written then.
    row: Option<Row>,
}

/// What is remembered of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// What it was when it was read last; `None` where there was none.
    Row(Option<Arc<Row>>),
    /// Nothing, and it should be read. Whoever asks next is told that it is not there, until it has been read.
    ToRead,
}

impl IndexMemory {
    /// What is remembered of that row.
    pub fn look(&mut self, now: Timestamp, key: &RowKey) -> Known {
        if let Some(row) = self.get(now, key) {
            return Known::Row(row);
        }
        self.remember(key, None, now + READ_TAKES);
        Known::ToRead
    }

    /// The same, without a read in mind.
    pub fn get(&self, now: Timestamp, key: &RowKey) -> Option<Option<Arc<Row>>> {
        let remembered = self.rows.get(key).filter(|remembered| now < remembered.until);
        remembered.map(|remembered| remembered.row.clone())
    }

    /// The store has, or has not, that row, or could not be read.
    pub fn on_read(&mut self, now: Timestamp, key: &RowKey, row: Option<Arc<Row>>) {
        // What was written here meanwhile is newer.
        if self.get(now, key).flatten().is_none() {
            let lasts = if row.is_some() { ROW_LASTS } else { NO_ROW_LASTS };
            self.remember(key, row, now + lasts);
        }
    }

    /// The row is to be written. After which time, if nobody has that in mind already; the last row that is given until
    /// then is the one. `None` too where more rows wait to be written than may.
    pub fn to_write(&mut self, now: Timestamp, key: &RowKey, row: Row) -> Option<Duration> {
        self.remember(key, Some(Arc::new(row.clone())), now + ROW_LASTS);
        self.writes
            .retain(|_, write| write.row.is_some() || now < write.due + WRITE_EVERY);
        let Some(write) = self.writes.get_mut(key) else {
            if self.writes.len() < MOST_WRITES {
                self.writes.insert(
                    key.clone(),
                    Write {
                        due: now,
                        row: Some(row),
                    },
                );
                return Some(Duration::ZERO);
            }
            return None;
        };
        let is_scheduled = write.row.replace(row).is_some();
        // Who had it in mind may be gone: its isolate was ended.
        if is_scheduled && now.since(write.due) < WRITER_IS_GONE {
            return None;
        }
        write.due = if is_scheduled { now } else { write.due + WRITE_EVERY };
        Some(write.due.since(now))
    }

    /// The row that is to be written now.
    pub fn take(&mut self, now: Timestamp, key: &RowKey) -> Option<Row> {
        let write = self.writes.get_mut(key)?;
        write.due = now;
        write.row.take()
    }

    fn remember(&mut self, key: &RowKey, row: Option<Arc<Row>>, until: Timestamp) {
        let before = self.rows.insert(key.clone(), Remembered { row, until });
        if before.is_none() {
            self.order.push_back(key.clone());
        }
        if self.order.len() > MOST_ROWS
            && let Some(first) = self.order.pop_front()
        {
            self.rows.remove(&first);
        }
    }
}

/// How long a row is remembered. What others write meanwhile is only a better guess, and Workers KV shows it no sooner.
const ROW_LASTS: Duration = Duration::from_secs(60);
/// How long it is remembered that there is none, or that the store could not be read.
const NO_ROW_LASTS: Duration = Duration::from_secs(10);
/// While a row is read by one request, others do without.
const READ_TAKES: Duration = Duration::from_secs(2);
/// Workers KV takes one write of a key each second.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// When whoever was to write has done so, or is gone.
const WRITER_IS_GONE: Duration = Duration::from_secs(3);
/// Rows that are remembered: with their keys at most 2 MB.
const MOST_ROWS: usize = 4_096;
/// Rows that are written within one second, or wait for it.
const MOST_WRITES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PrefixKey;

    fn key(number: u64) -> RowKey {
        RowKey::numbered(number)
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn row(number: u64) -> Row {
        use super::super::row::tests::{at, boundaries, id};
        Row {
            places: vec![super::super::Place::new(
                id(number),
                &boundaries(&[PrefixKey(1).0]),
                at(0),
            )],
        }
    }

    #[test]
    fn rows_and_their_absence_are_remembered_for_a_while() {
        let mut memory = IndexMemory::default();
        let found = Some(Arc::new(row(1)));
        assert_eq!(memory.look(at(0), &key(1)), Known::ToRead);
        assert_eq!(memory.look(at(0), &key(1)), Known::Row(None), "another reads it");
        memory.on_read(at(5), &key(1), found.clone());
        assert_eq!(memory.look(at(60_004), &key(1)), Known::Row(found));
        assert_eq!(memory.look(at(60_005), &key(1)), Known::ToRead);
        memory.on_read(at(60_010), &key(1), None);
        assert_eq!(memory.look(at(70_009), &key(1)), Known::Row(None));
        assert_eq!(memory.look(at(70_010), &key(1)), Known::ToRead);
    }

    #[test]
    fn what_was_written_here_is_newer_than_what_is_read() {
        let mut memory = IndexMemory::default();
        memory.look(at(0), &key(1));
        memory.to_write(at(1), &key(1), row(2));
        memory.on_read(at(2), &key(1), Some(Arc::new(row(1))));
        assert_eq!(memory.get(at(3), &key(1)), Some(Some(Arc::new(row(2)))));
    }

    #[test]
    fn a_row_is_written_once_a_second_and_the_last_one_wins() {
        let mut memory = IndexMemory::default();
        let wait = Duration::from_millis;
        assert_eq!(memory.to_write(at(0), &key(1), row(1)), Some(wait(0)));
        assert_eq!(memory.take(at(0), &key(1)), Some(row(1)));
        assert_eq!(memory.to_write(at(100), &key(1), row(2)), Some(wait(900)));
        assert_eq!(memory.to_write(at(200), &key(1), row(3)), None);
        assert_eq!(memory.to_write(at(200), &key(2), row(4)), Some(wait(0)), "another key");
        assert_eq!(memory.take(at(1_000), &key(1)), Some(row(3)));
        assert_eq!(memory.take(at(1_000), &key(1)), None);
        assert_eq!(memory.to_write(at(9_000), &key(1), row(5)), Some(wait(0)));
        assert_eq!(memory.to_write(at(11_999), &key(1), row(6)), None);
        assert_eq!(
            memory.to_write(at(12_000), &key(1), row(6)),
            Some(wait(0)),
            "the writer is gone"
        );
    }

    #[test]
    fn no_more_is_remembered_than_may_be() {
        let mut memory = IndexMemory::default();
        for number in 0..MOST_ROWS as u64 + 10 {
            memory.look(at(0), &key(number));
            memory.to_write(at(0), &key(number), row(1));
        }
        assert_eq!((memory.rows.len(), memory.order.len()), (MOST_ROWS, MOST_ROWS));
        assert_eq!(memory.writes.len(), MOST_WRITES);
        assert_eq!(memory.get(at(0), &key(0)), None);
    }
}
