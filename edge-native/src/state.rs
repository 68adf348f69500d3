//! Where this process keeps its cells and its store: by itself, or in a Redis that it may share with others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};
use tidegate_core::platform::StoreError;
use tracing::warn;

use crate::cells::{self, Cells};
use crate::clock::now;
use crate::redis::Redis;
use crate::store::Store;

/// Cells and store.
#[derive(Debug)]
pub enum State {
    /// In this process.
    Own(Arc<Own>),
    /// In Redis.
    Shared(Redis),
}

/// Cells and store of this process alone.
#[derive(Debug)]
pub struct Own {
    store: Store,
    cells: Cells,
    /// Held while cells' records are taken and written: whoever gets it after a command finds that command's record
    /// written, or to be written.
    keeping: Mutex<()>,
}

impl State {
    /// With this store, and no cells yet.
    pub fn own(store: Store) -> Self {
        Self::Own(Arc::new(Own {
            store,
            cells: Cells::default(),
            keeping: Mutex::default(),
        }))
    }

    /// Runs one command in a cell. One that must last is on disk when this returns.
    ///
    /// # Errors
    /// When the cell cannot be reached, or the disk does not take what must last: it is tried again then for as long as
    /// the process lives.
    pub async fn call_cell(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        match self {
            Self::Own(own) => {
                let must_last = command.must_last();
                let reply = own.call_cell(id, command)?;
                if must_last {
                    let kept = blocking(own, Own::keep_cells).await;
                    kept.map_err(|error| CellError::Unreachable(error.to_string()))?;
                }
                Ok(reply)
            }
            Self::Shared(redis) => redis.call_cell(id, command).await,
        }
    }

    /// Reads many keys of the store.
    ///
    /// # Errors
    /// When the store cannot be reached or read.
    pub async fn read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        match self {
            Self::Own(own) => own.store.read(keys, now()),
            Self::Shared(redis) => redis.store().read(keys).await,
        }
    }

    /// Writes one key of the store.
    ///
    /// # Errors
    /// When the store cannot be reached or written.
    pub async fn write(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), StoreError> {
        match self {
            Self::Own(own) => {
                let (key, expires) = (key.to_owned(), ttl.map(|ttl| now() + ttl));
                blocking(own, move |own| own.store.write(&key, &value, expires)).await
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
            Self::Own(own) => {
                let text = text.to_owned();
                blocking(own, move |own| own.store.offer_file(key, text.as_bytes())).await
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
            Self::Own(own) => blocking(own, |own| own.store.sweep(now()).map(drop)).await,
            Self::Shared(_) => Ok(()),
        }
    }

    /// Writes down what cells have to keep, where nobody else does. A store that failed last is written to in any case, so
    /// that the result tells how it does now.
    ///
    /// # Errors
    /// When the store cannot be written. What was to be is written the next time.
    pub async fn keep_cells(&self) -> Result<(), StoreError> {
        match self {
            Self::Own(own) if own.cells.have_changed() || own.store.is_failing() => {
                blocking(own, Own::keep_cells).await
            }
            Self::Own(_) | Self::Shared(_) => Ok(()),
        }
    }

    /// Lets what cells were told reach them, and what they have to keep the store, before the process ends. Blocks.
    pub fn flush(&self) {
        match self {
            Self::Own(own) => {
                if let Err(error) = own.keep_cells() {
                    warn!(%error, "what cells were to keep is lost");
                }
            }
            Self::Shared(redis) => redis.flush(),
        }
    }
}

impl Own {
    fn call_cell(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        self.cells.call(id, now(), command, |key| {
            let mut values = self.store.read(&[key], now())?;
            Ok(values.pop().flatten())
        })
    }

    fn keep_cells(&self) -> Result<(), StoreError> {
        let _alone = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let records = self.cells.take_records();
        let records = records.map_err(|error| StoreError(error.to_string()))?;
        let kept = match (records.is_empty(), self.store.is_failing()) {
            (true, false) => Ok(()),
            (true, true) => self.store.probe(now()),
            (false, _) => {
                let records = records.iter();
                let records = records.map(|(id, record)| (cells::store_key(id), record));
                self.store.write_all(&records.collect::<Vec<_>>())
            }
        };
        if kept.is_err() {
            self.cells.put_back(records.into_iter().map(|(id, _)| id));
        }
        kept
    }
}

/// Does what waits for other writers and for the disk, on a thread that may block, and to its end also where nobody waits
/// for it any more.
async fn blocking<T: Send + 'static>(
    own: &Arc<Own>,
    work: impl FnOnce(&Own) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let own = Arc::clone(own);
    let done = tokio::task::spawn_blocking(move || work(&own)).await;
    done.unwrap_or_else(|error| Err(StoreError(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;
    use tidegate_core::budget::{BudgetLimits, Rate, ReadBudget, SetLimits};
    use tidegate_core::cells::CellCall;
    use tidegate_core::ids::BudgetId;
    use tokio::runtime::LocalRuntime;

    fn budget() -> CellId {
        CellId::Budget(BudgetId {
            tenant: "acme".into(),
            name: "all".into(),
        })
    }

    fn limits(per_minute: u64) -> BudgetLimits {
        BudgetLimits {
            requests: Some(Rate::per_minute(per_minute)),
            ..BudgetLimits::default()
        }
    }

    async fn set_limits(state: &State, per_minute: u64) -> Result<CellReply, CellError> {
        let command = SetLimits(Some(limits(per_minute))).into_command();
        state.call_cell(&budget(), command).await
    }

    /// The limits that a process begins with on what is on the disk at the moment, as after a kill.
    async fn limits_on(disk: &Disk) -> BudgetLimits {
        let status = ReadBudget {
            limits: BudgetLimits::default(),
        };
        let state = State::own(disk.copy().store());
        let reply = state.call_cell(&budget(), status.into_command()).await;
        ReadBudget::read(reply.expect("a reply")).expect("a status").limits
    }

    #[test]
    fn what_an_operator_sets_is_on_the_disk_when_it_is_confirmed_or_refused() {
        LocalRuntime::new().expect("a runtime").block_on(async {
            let disk = Disk::default();
            let state = State::own(disk.store());
            set_limits(&state, 7).await.expect("set");
            assert_eq!(limits_on(&disk).await, limits(7));
            disk.fill(true);
            set_limits(&state, 8).await.expect_err("the disk is full");
            state.keep_cells().await.expect_err("still");
            assert_eq!(limits_on(&disk).await, limits(7));
        });
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_written_as_soon_as_there_is_space() {
        LocalRuntime::new().expect("a runtime").block_on(async {
            let disk = Disk::default();
            let state = State::own(disk.store());
            disk.fill(true);
            set_limits(&state, 8).await.expect_err("the disk is full");
            state.keep_cells().await.expect_err("still");
            disk.fill(false);
            state.keep_cells().await.expect("kept");
            assert_eq!(limits_on(&disk).await, limits(8));
        });
    }
}
