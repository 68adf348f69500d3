//! Where this process keeps its cells and its store: by itself, or in a Redis that it may share with others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};
use tidegate_core::platform::StoreError;
use tracing::warn;

use crate::cells::{self, Cells, HeldCall};
use crate::clock::{moment, wall};
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
                let reply = own.call_in_turn(id, command).await?;
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
            Self::Own(own) => own.store.read(keys, wall()),
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
                let (key, expires) = (key.to_owned(), ttl.map(|ttl| wall() + ttl));
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
            Self::Own(own) => blocking(own, |own| own.store.sweep(wall()).map(drop)).await,
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
    /// Runs one command. A call that may be held is, until what it waits for has its turn, and is made again then.
    async fn call_in_turn(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        let again = command.may_be_held_for().map(|_| command.clone());
        let (reply, held) = self.call_cell(id, command)?;
        let (Some(again), Some(held)) = (again, held) else {
            return Ok(reply);
        };
        match tokio::time::timeout(held.longest, held.turn).await {
            Ok(_) => self.call_cell(id, again).map(|(reply, _)| reply),
            Err(_) => Ok(reply),
        }
    }

    fn call_cell(&self, id: &CellId, command: CellCommand) -> Result<(CellReply, Option<HeldCall>), CellError> {
        self.cells.call_or_hold(id, moment(), command, |key| {
            let mut values = self.store.read(&[key], wall())?;
            Ok(values.pop().flatten())
        })
    }

    fn keep_cells(&self) -> Result<(), StoreError> {
        let _alone = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let records = self.cells.take_records();
        let records = records.map_err(|error| StoreError(error.to_string()))?;
        let kept = match (records.is_empty(), self.store.is_failing()) {
            (true, false) if self.store.has_volatile() => self.store.sweep(wall()).map(drop),
            (true, false) => Ok(()),
            (true, true) => self.store.probe(wall()),
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
    use tidegate_core::budget::{
        Amount, BudgetLimits, Lease, LeaseAccount, LeaseholderId, Rate, ReadBudget, Report, SetLimits,
    };
    use tidegate_core::cells::{CellCall, TimedCell};
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

    /// The warnings of one thread.
    #[derive(Clone, Default)]
    struct Warnings(Arc<Mutex<Vec<String>>>);

    impl tracing::Subscriber for Warnings {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::WARN
        }

        fn event(&self, event: &tracing::Event<'_>) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn a_record_that_is_an_hour_ahead_is_gone_on_from_at_once_and_told_in_one_line() {
        let warnings = Warnings::default();
        let _guard = tracing::subscriber::set_default(warnings.clone());
        LocalRuntime::new().expect("a runtime").block_on(async {
            let disk = Disk::default();
            let mut ahead = TimedCell::new(&budget());
            ahead.apply(wall() + Duration::from_secs(3_600), in_debt().into_command());
            let record = Bytes::from(ahead.to_lasting_record().expect("a record").expect("it lasts"));
            let store = disk.store();
            store
                .write_all(&[(cells::store_key(&budget()), &record)])
                .expect("kept");
            drop(store);
            let state = State::own(disk.store());
            let before = left(&state).await;
            assert!(before < 0, "{before}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            let after = left(&state).await;
            assert!(after > before, "{before}, then {after}");
        });
        let warnings = warnings.0.lock().unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("set back") && warnings[0].contains("by_s: 3599"),
            "{warnings:?}"
        );
    }

    /// A holder that has spent far more than there is, of a budget that gets a thousand a second.
    fn in_debt() -> Lease {
        let tokens = LeaseAccount {
            spent: 1_000_000,
            ..LeaseAccount::default()
        };
        Lease {
            report: Report {
                holder: LeaseholderId(1),
                sequence: 1,
                tokens,
                requests: LeaseAccount::default(),
                slots: 0,
                tokens_per_s: 0,
                outputs: Vec::new(),
            },
            need: None,
            waiting: Amount::default(),
            want: Amount::default(),
            want_slots: 0,
            limits: per_second(),
            ttl: Duration::from_secs(30),
        }
    }

    fn per_second() -> BudgetLimits {
        BudgetLimits {
            tokens: Some(Rate::per_minute(60_000)),
            ..BudgetLimits::default()
        }
    }

    async fn left(state: &State) -> i64 {
        let status = ReadBudget { limits: per_second() };
        let reply = state.call_cell(&budget(), status.into_command()).await;
        ReadBudget::read(reply.expect("a reply")).expect("a status").left.tokens
    }
}
