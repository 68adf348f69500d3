//! Where cells and store are: in what Spin embeds, or, where the variable `redis_url` names one, in a Redis that
//! several machines may share.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use spin_sdk::variables;
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};
use tidegate_core::platform::StoreError;

use crate::cells::{Cells, Sqlite};
use crate::redis::Redis;
use crate::store::Store;

/// Cells and store, once it is known where they are.
#[derive(Default)]
pub(crate) struct State(OnceCell<Place>);

enum Place {
    Embedded { cells: Cells<Sqlite>, store: Store },
    Redis { cells: Cells<Redis>, store: Rc<Redis> },
}

impl State {
    /// Runs one command in a cell.
    ///
    /// # Errors
    /// When the cell cannot be reached, or holds what this code does not read.
    pub(crate) async fn call_cell(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        match self.place().await.map_err(CellError::Unreachable)? {
            Place::Embedded { cells, .. } => cells.call(id, command).await,
            Place::Redis { cells, .. } => cells.call(id, command).await,
        }
    }

    /// Reads many keys of the store.
    ///
    /// # Errors
    /// When the store cannot be reached, or a record is of another version.
    pub(crate) async fn read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        match self.place().await.map_err(StoreError)? {
            Place::Embedded { store, .. } => store.read(keys).await,
            Place::Redis { store, .. } => store.read(keys).await,
        }
    }

    /// Writes one key of the store.
    ///
    /// # Errors
    /// When the store cannot be reached or refuses the value.
    pub(crate) async fn write(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StoreError> {
        match self.place().await.map_err(StoreError)? {
            Place::Embedded { store, .. } => store.write(key, value, ttl).await,
            Place::Redis { store, .. } => store.write(key, value, ttl).await,
        }
    }

    async fn place(&self) -> Result<&Place, String> {
        if let Some(place) = self.0.get() {
            return Ok(place);
        }
        let url = match variables::get(REDIS_URL).await {
            Ok(url) => url,
            Err(variables::Error::Undefined(_)) => String::new(),
            Err(error) => return Err(format!("the variable {REDIS_URL} cannot be read: {error}")),
        };
        Ok(self.0.get_or_init(|| Place::of(url)))
    }
}

impl Place {
    fn of(redis_url: String) -> Self {
        if redis_url.is_empty() {
            return Self::Embedded {
                cells: Cells::new(Rc::default()),
                store: Store::default(),
            };
        }
        let redis = Rc::new(Redis::new(redis_url));
        Self::Redis {
            cells: Cells::new(Rc::clone(&redis)),
            store: redis,
        }
    }
}

/// The variable with the URL of a Redis.
const REDIS_URL: &str = "redis_url";
