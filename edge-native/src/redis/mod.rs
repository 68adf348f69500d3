//! State that several processes share, in Redis or Valkey: cells as logs, and the store. One connection carries the
//! commands of all threads; a thread of its own keeps it, so that no serving thread's end takes it along.

mod address;
mod cells;
mod link;
mod store;

use std::io;
use std::sync::Arc;

use thiserror::Error;
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

pub use address::{AddressError, RedisAddress};
pub use store::RedisStore;

use cells::LoggedCells;
use link::{Link, PATIENCE};

/// Why Redis could not be used from the start.
#[derive(Debug, Error)]
pub enum RedisOpenError {
    /// It cannot be reached, or does not let this process in.
    #[error("cannot use Redis at {address}: {detail}")]
    Unreachable {
        /// Where, without user and password.
        address: String,
        /// What went wrong.
        detail: String,
    },
    /// The operating system refused a thread.
    #[error("cannot start a thread for Redis: {0}")]
    Thread(#[from] io::Error),
}

/// A connection to Redis, and what is kept there.
#[derive(Debug)]
pub struct Redis {
    cells: LoggedCells,
    store: RedisStore,
    /// Runs the connection. Taken when this value is dropped.
    runtime: Option<Runtime>,
}

impl Redis {
    /// Connects, and asks for a sign of life. Blocks, for about a second at most.
    ///
    /// # Errors
    /// When it cannot be reached within that time, or refuses.
    pub fn open(address: &RedisAddress) -> Result<Self, RedisOpenError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tidegate-redis")
            .enable_all()
            .build()?;
        let unreachable = |detail: String| RedisOpenError::Unreachable {
            address: address.to_string(),
            detail,
        };
        let link = Arc::new(Link::new(address.client().map_err(unreachable)?, runtime.handle()));
        let ping = redis::cmd("PING");
        let answered = runtime.block_on(link.call(&ping, Instant::now() + PATIENCE));
        answered.map_err(|failure| unreachable(failure.to_string()))?;
        Ok(Self {
            cells: LoggedCells::new(Arc::clone(&link), runtime.handle().clone()),
            store: RedisStore::new(link, runtime.handle().clone()),
            runtime: Some(runtime),
        })
    }

    /// Runs one command in a cell. When the future is dropped, it may still run.
    ///
    /// # Errors
    /// When Redis does not answer within about a second, or holds what this code does not read.
    pub async fn call_cell(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        self.cells.call(id, command).await
    }

    /// The store.
    pub fn store(&self) -> &RedisStore {
        &self.store
    }

    /// Lets what was told to cells reach Redis, for about a second at most. Blocks; not to be called by async code.
    pub fn flush(&self) {
        if let Some(runtime) = &self.runtime {
            runtime.block_on(self.cells.flush());
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // The last thread that used it may be one that must not block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
