//! The store: an embedded database (redb) in one file, or in memory where nothing needs to outlive the process.
//!
//! * A value is a versioned record with its expiry inside. Expired ones are invisible at once and swept away later,
//!   found through an index by time.
//! * Reads run where they are called: redb serves them from its page cache without waiting for writers, in a few
//!   microseconds, which is less than a trip to another thread and back.
//! * Writes wait for other writers and for the disk: call them on a thread that may block. What never expires is on
//!   disk when the write returns; what expires anyway may be lost by a crash within [`SWEEP_EVERY`].
//! * After the disk has refused something, as when it is full, every later write tries again from the file as it was
//!   written last: what was said to be written is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError,
    WriteTransaction,
};
use thiserror::Error;
use tidegate_core::platform::StoreError;
use tidegate_core::time::Timestamp;

use crate::database::{Open, Reopened};

/// The store of this process, shared by its threads.
#[derive(Debug)]
pub struct Store {
    database: Reopened,
    /// Whether what was asked of it last failed.
    is_failing: AtomicBool,
    has_volatile: AtomicBool,
}

/// Why the store could not be opened.
#[derive(Debug, Error)]
pub enum StoreOpenError {
    /// The directory is missing and cannot be made.
    #[error("cannot make the data directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another process: give each its own --data directory", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, of another kind, or not accessible.
    #[error("cannot open the store {}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What redb said.
        source: Box<redb::Error>,
    },
}

impl Store {
    /// Opens the store in `directory`, both made when missing; without one, a store in memory.
    ///
    /// # Errors
    /// When the directory or the file cannot be made, read or locked.
    pub fn open(directory: Option<&Path>) -> Result<Self, StoreOpenError> {
        let Some(directory) = directory else {
            let in_memory = || builder().create_with_backend(InMemoryBackend::new());
            return Self::with(PathBuf::from("(in memory)"), Box::new(in_memory));
        };
        fs::create_dir_all(directory).map_err(|source| StoreOpenError::Directory {
            path: directory.to_owned(),
            source,
        })?;
        let path = directory.join(FILE_NAME);
        let file = path.clone();
        Self::with(path, Box::new(move || builder().create(&file)))
    }

    /// The store that `open` opens, also again; `path` is for errors.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn with(path: PathBuf, open: Box<Open>) -> Result<Self, StoreOpenError> {
        let store = match Reopened::new(open) {
            Ok(database) => Self {
                database,
                is_failing: AtomicBool::new(false),
                has_volatile: AtomicBool::new(false),
            },
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(StoreOpenError::InUse { path }),
            Err(error) => {
                return Err(StoreOpenError::Database {
                    path,
                    source: Box::new(error.into()),
                });
            }
        };
        match store.create_tables() {
            Ok(()) => Ok(store),
            Err(source) => Err(StoreOpenError::Database {
                path,
                source: Box::new(source),
            }),
        }
    }

    /// Whether the last of all reads and writes failed: what follows may, too.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Whether something was written that a crash would lose: the next write that is not, or a sweep, makes it safe.
    pub fn has_volatile(&self) -> bool {
        self.has_volatile.load(Ordering::Relaxed)
    }

    /// The values of `keys` in order, as of one moment; `None` for what is missing or expired `now`.
    ///
    /// # Errors
    /// When the file cannot be read or holds what this code does not understand.
    pub fn read(&self, keys: &[&str], now: Timestamp) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.look(|database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            keys.iter()
                .map(|key| match table.get(*key)? {
                    Some(record) => live_value(record.value(), now),
                    None => Ok(None),
                })
                .collect()
        })
    }

    /// Writes one key; with `expires` it disappears then. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, key: &str, value: &[u8], expires: Option<Timestamp>) -> Result<(), StoreError> {
        let durability = if expires.is_some() {
            Durability::None
        } else {
            Durability::Immediate
        };
        self.transact(durability, |transaction| {
            put(
                &mut transaction.open_table(VALUES)?,
                &mut transaction.open_table(BY_EXPIRY)?,
                key,
                value,
                expires,
            )
        })
    }

    /// Writes many keys that never disappear, all or none. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_all(&self, records: &[(String, &Bytes)]) -> Result<(), StoreError> {
        self.transact(Durability::Immediate, |transaction| {
            let mut values = transaction.open_table(VALUES)?;
            let mut by_expiry = transaction.open_table(BY_EXPIRY)?;
            records
                .iter()
                .try_for_each(|(key, value)| put(&mut values, &mut by_expiry, key, value, None))
        })
    }

    /// Puts the text of a file under `key` unless it is the text that was put there from the file last: what came
    /// into the store by another way after that is newer than the file. Tells whether it was put. Blocks.
    ///
    /// # Errors
    /// When the file of the store cannot be read or written.
    pub fn offer_file(&self, key: &str, text: &[u8]) -> Result<bool, StoreError> {
        let is_known = self.look(|database| {
            let offered = database.begin_read()?.open_table(OFFERED)?;
            Ok(offered.get(key)?.is_some_and(|last| last.value() == text))
        })?;
        if is_known {
            return Ok(false);
        }
        self.transact(Durability::Immediate, |transaction| {
            transaction.open_table(OFFERED)?.insert(key, text)?;
            put(
                &mut transaction.open_table(VALUES)?,
                &mut transaction.open_table(BY_EXPIRY)?,
                key,
                text,
                None,
            )
        })?;
        Ok(true)
    }

    /// Removes what has expired, at most [`SWEEP_AT_ONCE`] values, and makes all earlier writes safe from a crash.
    /// Tells how many were removed. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.transact(Durability::Immediate, |transaction| {
            let mut by_expiry = transaction.open_table(BY_EXPIRY)?;
            let mut values = transaction.open_table(VALUES)?;
            let mut expired: Vec<(u64, String)> = Vec::new();
            for entry in by_expiry.range(..(now.as_micros(), ""))?.take(SWEEP_AT_ONCE) {
                let (key, _) = entry?;
                let (at, key) = key.value();
                expired.push((at, key.to_owned()));
            }
            for (at, key) in &expired {
                by_expiry.remove((*at, key.as_str()))?;
                values.remove(key.as_str())?;
            }
            Ok(expired.len())
        })
    }

    /// Writes something, to learn whether the disk takes it. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        self.transact(Durability::Immediate, |transaction| {
            transaction.open_table(PROBED)?.insert((), now.as_micros())?;
            Ok(())
        })
    }

    fn look<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let done = self.database.read(work);
        if done.is_err() {
            // The file may be of no use until a write opens it anew.
            self.is_failing.store(true, Ordering::Relaxed);
        }
        done.map_err(to_store_error)
    }

    /// One transaction, whole or not at all.
    fn transact<T>(
        &self,
        durability: Durability,
        work: impl Fn(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let done = self.database.write(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(durability)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        self.is_failing.store(done.is_err(), Ordering::Relaxed);
        if done.is_ok() {
            let is_volatile = matches!(durability, Durability::None);
            self.has_volatile.store(is_volatile, Ordering::Relaxed);
        }
        done.map_err(to_store_error)
    }

    /// Makes the tables where they are missing: a store that has them is opened also where nothing can be written.
    fn create_tables(&self) -> Result<(), redb::Error> {
        let are_there = self.database.read(|database| {
            let transaction = database.begin_read()?;
            Ok(transaction.open_table(VALUES).map(drop))
        })?;
        match are_there {
            Ok(()) => Ok(()),
            Err(TableError::TableDoesNotExist(_)) => self.database.write(|database| {
                let transaction = database.begin_write()?;
                transaction.open_table(VALUES)?;
                transaction.open_table(BY_EXPIRY)?;
                transaction.open_table(OFFERED)?;
                Ok(transaction.commit()?)
            }),
            Err(error) => Err(error.into()),
        }
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(PAGE_CACHE_BYTES);
    builder
}

/// Replaces the record of `key` and its place in the index.
fn put(
    values: &mut Table<&str, &[u8]>,
    by_expiry: &mut Table<(u64, &str), ()>,
    key: &str,
    value: &[u8],
    expires: Option<Timestamp>,
) -> Result<(), redb::Error> {
    let record = [
        &[RECORD_VERSION][..],
        &expires.map_or(0, Timestamp::as_micros).to_le_bytes(),
        value,
    ]
    .concat();
    let replaced = values
        .insert(key, record.as_slice())?
        .and_then(|old| split(old.value())?.0);
    if let Some(old) = replaced {
        by_expiry.remove((old.as_micros(), key))?;
    }
    if let Some(expires) = expires {
        by_expiry.insert((expires.as_micros(), key), ())?;
    }
    Ok(())
}

fn live_value(record: &[u8], now: Timestamp) -> Result<Option<Bytes>, redb::Error> {
    let (expires, value) = split(record).ok_or_else(|| redb::Error::Corrupted("record not understood".into()))?;
    Ok(expires
        .is_none_or(|expires| now < expires)
        .then(|| Bytes::copy_from_slice(value)))
}

/// A record's expiry and value; `None` when it is not of the one version so far.
fn split(record: &[u8]) -> Option<(Option<Timestamp>, &[u8])> {
    let (expires, value) = record.strip_prefix(&[RECORD_VERSION])?.split_first_chunk()?;
    let expires = u64::from_le_bytes(*expires);
    Some(((expires > 0).then(|| Timestamp::from_micros(expires)), value))
}

fn to_store_error(error: redb::Error) -> StoreError {
    StoreError(error.to_string())
}

/// Time between two sweeps.
pub const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Values removed in one sweep: bounds how long other writers wait.
const SWEEP_AT_ONCE: usize = 10_000;
/// The file's name within the data directory.
const FILE_NAME: &str = "store.redb";
/// Pages of the file kept in memory. redb's own default is 1 GiB.
const PAGE_CACHE_BYTES: usize = 64 << 20;
/// A record is this byte, the expiry in microseconds since the Unix epoch (little-endian, 0 for never), the value.
const RECORD_VERSION: u8 = 1;

const VALUES: TableDefinition<&str, &[u8]> = TableDefinition::new("values");
const BY_EXPIRY: TableDefinition<(u64, &str), ()> = TableDefinition::new("by_expiry");
const OFFERED: TableDefinition<&str, &[u8]> = TableDefinition::new("offered");
const PROBED: TableDefinition<(), u64> = TableDefinition::new("probed");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;

    const NOON: Timestamp = Timestamp::from_millis(43_200_000);

    fn at(seconds: u64) -> Timestamp {
        NOON + Duration::from_secs(seconds)
    }

    #[test]
    fn many_keys_are_read_in_order_with_gaps() {
        let store = Store::open(None).expect("memory");
        store.write("a", b"1", None).expect("written");
        store.write("b", b"", None).expect("written");
        let read = store.read(&["b", "missing", "a"], NOON).expect("read");
        assert_eq!(read, [Some(Bytes::new()), None, Some(Bytes::from_static(b"1"))]);
    }

    #[test]
    fn a_value_is_gone_when_it_expires_and_swept_after() {
        let store = Store::open(None).expect("memory");
        store.write("brief", b"1", Some(at(60))).expect("written");
        store.write("lasting", b"2", None).expect("written");
        assert!(store.read(&["brief"], at(59)).expect("read")[0].is_some());
        assert!(store.read(&["brief"], at(60)).expect("read")[0].is_none());
        assert_eq!(
            store.sweep(at(60)).expect("swept"),
            0,
            "the sweep is later than the expiry"
        );
        assert_eq!(store.sweep(at(61)).expect("swept"), 1);
        assert!(
            store.read(&["brief"], at(0)).expect("read")[0].is_none(),
            "really removed"
        );
        assert!(store.read(&["lasting"], at(61)).expect("read")[0].is_some());
    }

    #[test]
    fn an_overwritten_expiry_no_longer_counts() {
        let store = Store::open(None).expect("memory");
        store.write("key", b"1", Some(at(60))).expect("written");
        store.write("key", b"2", Some(at(120))).expect("written");
        assert_eq!(store.sweep(at(100)).expect("swept"), 0);
        store.write("key", b"3", None).expect("written");
        assert_eq!(store.sweep(at(1_000)).expect("swept"), 0);
        assert_eq!(
            store.read(&["key"], at(1_000)).expect("read")[0].as_deref(),
            Some(&b"3"[..])
        );
    }

    #[test]
    fn an_unchanged_file_does_not_replace_what_came_after_it() {
        let store = Store::open(None).expect("memory");
        assert!(store.offer_file("config", b"from the file").expect("offered"));
        store.write("config", b"by an operator", None).expect("written");
        assert!(!store.offer_file("config", b"from the file").expect("offered"));
        assert_eq!(
            store.read(&["config"], NOON).expect("read")[0].as_deref(),
            Some(&b"by an operator"[..])
        );
        assert!(store.offer_file("config", b"edited").expect("offered"));
        assert_eq!(
            store.read(&["config"], NOON).expect("read")[0].as_deref(),
            Some(&b"edited"[..])
        );
    }

    #[test]
    fn after_the_disk_was_full_the_store_writes_again_and_has_all_that_was_written() {
        let disk = Disk::default();
        let store = disk.store();
        store.write("before", b"1", None).expect("written");
        disk.fill(true);
        for _ in 0..3 {
            let refused = store.write("lost", b"2", None).expect_err("the disk is full");
            assert!(!refused.0.contains("re-open"), "{refused}");
            assert!(store.is_failing());
        }
        disk.fill(false);
        store.write("after", b"3", None).expect("written");
        assert!(!store.is_failing());
        for store in [store, disk.store()] {
            let read = store.read(&["before", "lost", "after"], NOON).expect("read");
            assert_eq!(
                read,
                [Some(Bytes::from_static(b"1")), None, Some(Bytes::from_static(b"3"))]
            );
        }
    }

    #[test]
    fn a_probe_tells_that_a_store_works_again() {
        let disk = Disk::default();
        let store = disk.store();
        disk.fill(true);
        store.write("key", b"1", None).expect_err("the disk is full");
        store.probe(NOON).expect_err("still");
        disk.fill(false);
        store.probe(NOON).expect("written");
        assert!(!store.is_failing());
        assert_eq!(store.read(&["key"], NOON).expect("read"), [None]);
    }

    #[test]
    fn a_record_of_another_version_is_an_error_not_a_value() {
        assert!(live_value(&[2; 20], NOON).is_err());
        assert!(live_value(&[RECORD_VERSION, 0], NOON).is_err());
    }
}
