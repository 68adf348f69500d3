//! The store: an embedded database (redb) in one file, or in memory where nothing needs to outlive the process.
//!
//! * A value is a versioned record with its expiry inside. Expired ones are invisible at once and swept away later,
//!   found through an index by time.
//! * Reads run where they are called: redb serves them from its page cache without waiting for writers, in a few
//!   microseconds, which is less than a trip to another thread and back.
//! * Writes wait for other writers and for the disk: call them on a thread that may block. What never expires is on
//!   disk when the write returns; what expires anyway may be lost by a crash within [`SWEEP_EVERY`].

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition};
use thiserror::Error;
use tidegate_core::platform::StoreError;
use tidegate_core::time::Timestamp;

/// The store of this process, shared by its threads.
#[derive(Debug)]
pub struct Store {
    database: Database,
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
        let path = directory.map_or_else(|| PathBuf::from("(in memory)"), |directory| directory.join(FILE_NAME));
        let mut builder = Database::builder();
        builder.set_cache_size(PAGE_CACHE_BYTES);
        let opened = if let Some(directory) = directory {
            fs::create_dir_all(directory).map_err(|source| StoreOpenError::Directory {
                path: directory.to_owned(),
                source,
            })?;
            builder.create(&path)
        } else {
            builder.create_with_backend(InMemoryBackend::new())
        };
        let store = match opened {
            Ok(database) => Self { database },
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

    /// The values of `keys` in order, as of one moment; `None` for what is missing or expired `now`.
    ///
    /// # Errors
    /// When the file cannot be read or holds what this code does not understand.
    pub fn read(&self, keys: &[&str], now: Timestamp) -> Result<Vec<Option<Bytes>>, StoreError> {
        let values = || -> Result<Vec<Option<Bytes>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(VALUES)?;
            keys.iter()
                .map(|key| match table.get(*key)? {
                    Some(record) => live_value(record.value(), now),
                    None => Ok(None),
                })
                .collect()
        };
        values().map_err(to_store_error)
    }

    /// Writes one key; with `expires` it disappears then. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, key: &str, value: &[u8], expires: Option<Timestamp>) -> Result<(), StoreError> {
        let write = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            let durability = if expires.is_some() {
                Durability::None
            } else {
                Durability::Immediate
            };
            transaction.set_durability(durability)?;
            put(
                &mut transaction.open_table(VALUES)?,
                &mut transaction.open_table(BY_EXPIRY)?,
                key,
                value,
                expires,
            )?;
            Ok(transaction.commit()?)
        };
        write().map_err(to_store_error)
    }

    /// Puts the text of a file under `key` unless it is the text that was put there from the file last: what came
    /// into the store by another way after that is newer than the file. Tells whether it was put. Blocks.
    ///
    /// # Errors
    /// When the file of the store cannot be read or written.
    pub fn offer_file(&self, key: &str, text: &[u8]) -> Result<bool, StoreError> {
        let offer = || -> Result<bool, redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                let mut offered = transaction.open_table(OFFERED)?;
                if offered.get(key)?.is_some_and(|last| last.value() == text) {
                    return Ok(false);
                }
                offered.insert(key, text)?;
                put(
                    &mut transaction.open_table(VALUES)?,
                    &mut transaction.open_table(BY_EXPIRY)?,
                    key,
                    text,
                    None,
                )?;
            }
            transaction.commit()?;
            Ok(true)
        };
        offer().map_err(to_store_error)
    }

    /// Removes what has expired, at most [`SWEEP_AT_ONCE`] values, and makes all earlier writes safe from a crash.
    /// Tells how many were removed. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let sweep = || -> Result<usize, redb::Error> {
            let transaction = self.database.begin_write()?;
            let removed = {
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
                expired.len()
            };
            transaction.commit()?;
            Ok(removed)
        };
        sweep().map_err(to_store_error)
    }

    fn create_tables(&self) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(VALUES)?;
        transaction.open_table(BY_EXPIRY)?;
        transaction.open_table(OFFERED)?;
        Ok(transaction.commit()?)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_record_of_another_version_is_an_error_not_a_value() {
        assert!(live_value(&[2; 20], NOON).is_err());
        assert!(live_value(&[RECORD_VERSION, 0], NOON).is_err());
    }
}
