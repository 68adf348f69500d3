//! Where this process keeps its cells and its store: by itself, or in a Redis that it may share with others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};
use tidegate_core::platform::StoreError;
use tracing::warn;

use crate::cells::Cells;
use crate::clock::now;
use crate::redis::Redis;
use crate::store::Store;

/// Cells and store.
#[derive(Debug)]
pub enum State {
    /// In this process.
    Own {
        /// The embedded store.
        store: Arc<Store>,
        /// Every cell.
        cells: Cells,
    },
    /// In Redis.
    Shared(Redis),
}

impl State {
    /// With this store, and no cells yet.
    pub fn own(store: Store) -> Self {
        Self::Own {
            store: Arc::new(store),
            cells: Cells::default(),
        }
    }

    /// Runs one command in a cell.
    ///
    /// # Errors
    /// When the cell cannot be reached.
    pub async fn call_cell(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        match self {
            Self::Own { store, cells } => cells.call(id, now(), command, |key| {
                let mut values = store.read(&[key], now())?;
                Ok(values.pop().flatten())
            }),
            Self::Shared(redis) => redis.call_cell(id, command).await,
        }
    }

    /// Reads many keys of the store.
    ///
    /// # Errors
    /// When the store cannot be reached or read.
    pub async fn read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        match self {
            Self::Own { store, .. } => store.read(keys, now()),
            Self::Shared(redis) => redis.store().read(keys).await,
        }
    }

    /// Writes one key of the store.
    ///
    /// # Errors
    /// When the store cannot be reached or written.
    pub async fn write(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), StoreError> {
        match self {
            Self::Own { store, .. } => {
                let (key, expires) = (key.to_owned(), ttl.map(|ttl| now() + ttl));
                blocking(store, move |store| store.write(&key, &value, expires)).await
            }
            Self::Shared(redis) => redis.store().write(key, &value, ttl).await,
        }
    }

    /// Puts the text of a file under `key` unless it is the text that was put there from a file last. Tells whether it
    /// was put.
    ///
    /// # Errors
    /// When the store cannot be reached or written.
    pub async fn offer_file(&self, key: &'static str, text: &str) -> Result<bool, StoreError> {
        match self {
            Self::Own { store, .. } => {
                let text = text.to_owned();
                blocking(store, move |store| store.offer_file(key, text.as_bytes())).await
            }
            Self::Shared(redis) => redis.store().offer_file(key, text.as_bytes()).await,
        }
    }

    /// Removes some of what has expired, where nobody else does.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        match self {
            Self::Own { store, .. } => blocking(store, |store| store.sweep(now()).map(drop)).await,
            Self::Shared(_) => Ok(()),
        }
    }

    /// Writes down what cells have to keep, where nobody else does.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn keep_cells(&self) -> Result<(), StoreError> {
        match self {
            Self::Own { store, cells } => {
                let records = cells.take_records().map_err(|error| StoreError(error.to_string()))?;
                if records.is_empty() {
                    return Ok(());
                }
                blocking(store, move |store| write_all(store, &records)).await
            }
            Self::Shared(_) => Ok(()),
        }
    }

    /// Lets what cells were told reach them, and what they have to keep the store, before the process ends. Blocks.
    pub fn flush(&self) {
        match self {
            Self::Own { store, cells } => {
                let records = cells.take_records().map_err(|error| StoreError(error.to_string()));
                if let Err(error) = records.and_then(|records| write_all(store, &records)) {
                    warn!(%error, "what cells were to keep is lost");
                }
            }
            Self::Shared(redis) => redis.flush(),
        }
    }
}

fn write_all(store: &Store, records: &[(String, Bytes)]) -> Result<(), StoreError> {
    records
        .iter()
        .try_for_each(|(key, record)| store.write(key, record, None))
}

/// Does what waits for other writers and for the disk, on a thread that may block.
async fn blocking<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = Arc::clone(store);
    let done = tokio::task::spawn_blocking(move || work(&store)).await;
    done.unwrap_or_else(|error| Err(StoreError(error.to_string())))
}
