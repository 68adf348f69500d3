//! spin:key-value, kept in one SQLite table as Spin's default store is.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::OptionalExtension as _;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::key_value::{Error, Host, HostStore, HostStoreWithStore};
use crate::state::{Spin, State};

/// The contents of all stores.
#[derive(Clone)]
pub(crate) struct KeyValues(Arc<Mutex<rusqlite::Connection>>);

/// An open store: its label.
pub struct Store(String);

impl KeyValues {
    /// Opens or creates the table at `path`.
    pub(crate) fn open(path: &Path) -> wasmtime::Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS entries (
                 store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key)
             ) WITHOUT ROWID",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Sets a key of the default store.
    pub(crate) fn seed(&self, key: &str, value: &[u8]) -> wasmtime::Result<()> {
        self.set("default", key, value).map_err(wasmtime::Error::from)
    }

    fn get(&self, store: &str, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        self.run(|connection| {
            connection
                .prepare_cached("SELECT value FROM entries WHERE store = ?1 AND key = ?2")?
                .query_row((store, key), |row| row.get(0))
                .optional()
        })
    }

    fn set(&self, store: &str, key: &str, value: &[u8]) -> rusqlite::Result<()> {
        self.run(|connection| {
            connection
                .prepare_cached(
                    "INSERT INTO entries (store, key, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (store, key) DO UPDATE SET value = excluded.value",
                )?
                .execute((store, key, value))
                .map(drop)
        })
    }

    fn delete(&self, store: &str, key: &str) -> rusqlite::Result<()> {
        self.run(|connection| {
            connection
                .prepare_cached("DELETE FROM entries WHERE store = ?1 AND key = ?2")?
                .execute((store, key))
                .map(drop)
        })
    }

    fn keys(&self, store: &str) -> rusqlite::Result<Vec<String>> {
        self.run(|connection| {
            connection
                .prepare_cached("SELECT key FROM entries WHERE store = ?1 ORDER BY key")?
                .query_map([store], |row| row.get(0))?
                .collect()
        })
    }

    fn run<R>(&self, work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<R>) -> rusqlite::Result<R> {
        tokio::task::block_in_place(|| work(&self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Host for State {}

impl HostStore for State {
    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl<T> HostStoreWithStore<T> for Spin {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Result<Resource<Store>, Error> {
        accessor.with(|mut access| {
            let state = access.get();
            if !state.app.stores.contains(&label) {
                return Err(Error::AccessDenied);
            }
            state.table.push(Store(label)).map_err(|_| Error::StoreTableFull)
        })
    }

    async fn get(accessor: &Accessor<T, Self>, store: Resource<Store>, key: String) -> Result<Option<Vec<u8>>, Error> {
        let (key_values, store) = opened(accessor, &store)?;
        key_values.get(&store, &key).map_err(other)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        let (key_values, store) = opened(accessor, &store)?;
        key_values.set(&store, &key, &value).map_err(other)
    }

    async fn delete(accessor: &Accessor<T, Self>, store: Resource<Store>, key: String) -> Result<(), Error> {
        let (key_values, store) = opened(accessor, &store)?;
        key_values.delete(&store, &key).map_err(other)
    }

    async fn exists(accessor: &Accessor<T, Self>, store: Resource<Store>, key: String) -> Result<bool, Error> {
        let (key_values, store) = opened(accessor, &store)?;
        key_values.get(&store, &key).map(|value| value.is_some()).map_err(other)
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
    ) -> (StreamReader<String>, FutureReader<Result<(), Error>>) {
        let keys = opened(accessor, &store).and_then(|(values, store)| values.keys(&store).map_err(other));
        let (keys, result) = match keys {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys).expect("a new stream");
            let result = FutureReader::new(&mut access, async { wasmtime::error::Ok(result) }).expect("a new future");
            (keys, result)
        })
    }
}

/// The contents and the label behind a handle.
fn opened<T>(accessor: &Accessor<T, Spin>, store: &Resource<Store>) -> Result<(KeyValues, String), Error> {
    accessor.with(|mut access| {
        let state = access.get();
        let Store(label) = state.table.get(store).map_err(|_| Error::NoSuchStore)?;
        Ok((state.app.key_values.clone(), label.clone()))
    })
}

fn other(error: rusqlite::Error) -> Error {
    Error::Other(error.to_string())
}
