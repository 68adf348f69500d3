//! Cells in this process: one map behind one lock. A command runs in well under a microsecond and the lock is never
//! held across an await, so threads hardly ever meet at it. Most cells hold figures of the moment, which heal by expiry;
//! a restart begins with empty ones. What has to last goes into the store behind commands' backs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply, HeldCalls, TimedCell};
use tidegate_core::platform::StoreError;
use tidegate_core::time::{Moment, Timestamp};
use tracing::warn;

/// Every cell of this process.
#[derive(Debug, Default)]
pub struct Cells {
    states: Mutex<States>,
}

/// A call that may be held.
#[derive(Debug)]
pub struct HeldCall {
    /// Completes when it is to be made again.
    pub turn: oneshot::Receiver<()>,
    /// For how long it may be held.
    pub longest: Duration,
}

#[derive(Debug, Default)]
struct States {
    by_id: BTreeMap<CellId, TimedCell>,
    passing: Passing,
    /// Those whose records are out of date.
    changed: BTreeSet<CellId>,
    held: BTreeMap<CellId, HeldCalls>,
}

/// The cells of which there is one for each of many things that come and go.
#[derive(Debug, Default)]
struct Passing {
    by_id: BTreeMap<CellId, TimedCell>,
    /// When those that are over were last forgotten.
    swept: Timestamp,
}

impl Passing {
    /// That cell; `None` where it would be one more than a process keeps.
    fn cell(&mut self, id: &CellId, now: Moment) -> Option<&mut TimedCell> {
        if now.steady.since(self.swept) >= SWEEP_EVERY {
            self.swept = now.steady;
            self.by_id.retain(|_, cell| !cell.is_over(now));
        }
        if self.by_id.len() >= MAX_PASSING && !self.by_id.contains_key(id) {
            return None;
        }
        let cell = self.by_id.entry(id.clone());
        Some(cell.or_insert_with(|| TimedCell::new(id)))
    }
}

impl Cells {
    /// Runs one command in the cell. One that is met for the first time begins with what `kept` has of it, if anything.
    ///
    /// # Errors
    /// When the cell would be one more than a process keeps, or its record cannot be read.
    pub fn call(
        &self,
        id: &CellId,
        now: impl Into<Moment>,
        command: CellCommand,
        kept: impl FnOnce(&str) -> Result<Option<Bytes>, StoreError>,
    ) -> Result<CellReply, CellError> {
        self.call_or_hold(id, now, command, kept).map(|(reply, _)| reply)
    }

    /// The same for a call that may be held: with what completes when it is to be made again, where it may.
    ///
    /// # Errors
    /// As of `call`.
    pub fn call_or_hold(
        &self,
        id: &CellId,
        now: impl Into<Moment>,
        command: CellCommand,
        kept: impl FnOnce(&str) -> Result<Option<Bytes>, StoreError>,
    ) -> Result<(CellReply, Option<HeldCall>), CellError> {
        let mut states = self.lock();
        let now = now.into();
        let States {
            by_id,
            passing,
            changed,
            held,
        } = &mut *states;
        let state = if id.is_passing() {
            passing.cell(id, now)
        } else if by_id.contains_key(id) {
            by_id.get_mut(id)
        } else if by_id.len() < MAX_CELLS {
            Some(by_id.entry(id.clone()).or_insert(begin(id, kept)?))
        } else {
            None
        };
        let state = state.ok_or_else(|| too_many(if id.is_passing() { MAX_PASSING } else { MAX_CELLS }))?;
        if let Some(by) = state.set_back_by(now) {
            let (cell, by_s) = (id.key(), by.as_secs());
            warn!(
                cell,
                by_s, "the clock was set back since the cell was last used: it goes on from there"
            );
        }
        let permit = command.may_be_held_for();
        let applied = state.apply(now, command);
        if applied.lasting_changed && !changed.contains(id) {
            changed.insert(id.clone());
        }
        if let Some(held) = held.get_mut(id) {
            held.on_applied(state, now);
        }
        let call = permit.zip(applied.reply.held_for()).map(|(permit, longest)| {
            let turn = held.entry(id.clone()).or_default().hold(permit);
            HeldCall { turn, longest }
        });
        Ok((applied.reply, call))
    }

    /// The records of cells that have changed since the last time.
    ///
    /// # Errors
    /// When a state cannot be written down.
    pub fn take_records(&self) -> Result<Vec<(CellId, Bytes)>, CellError> {
        let mut states = self.lock();
        let changed = std::mem::take(&mut states.changed);
        let records = changed.iter().filter_map(|id| {
            let record = states.by_id.get(id)?.to_lasting_record().transpose()?;
            Some(record.map(|record| (id.clone(), record.into())))
        });
        records.collect()
    }

    /// Whether there is a record to be written.
    pub fn have_changed(&self) -> bool {
        !self.lock().changed.is_empty()
    }

    /// The records of these cells were not written: they are out of date still.
    pub fn put_back(&self, ids: impl Iterator<Item = CellId>) {
        self.lock().changed.extend(ids);
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        // A command that panicked left a state that its own invariants and expiry heal; refusing all later ones
        // would not.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(id: &CellId, kept: impl FnOnce(&str) -> Result<Option<Bytes>, StoreError>) -> Result<TimedCell, CellError> {
    let fresh = TimedCell::new(id);
    if !fresh.is_lasting() {
        return Ok(fresh);
    }
    match kept(&store_key(id)).map_err(|error| CellError::Unreachable(error.to_string()))? {
        Some(record) => TimedCell::from_record(&record),
        None => Ok(fresh),
    }
}

/// Where the store keeps a cell's record.
pub fn store_key(id: &CellId) -> String {
    format!("cell/{}", id.key())
}

/// Why a new cell is refused.
pub fn too_many(bound: usize) -> CellError {
    CellError::Unreachable(format!("this process keeps {bound} cells, its bound"))
}

/// Most cells that a process keeps. Their names come from the configuration, so only a process that lived through
/// very many configurations could come near it.
pub const MAX_CELLS: usize = 65_536;
/// Most passing cells, at 64 KiB and a little more each where all are as large as they may be.
const MAX_PASSING: usize = 2_048;
/// A sweep of so many takes a fraction of a millisecond.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::budget::{BudgetLimits, Rate, ReadBudget, SetLimits};
    use tidegate_core::cache::{AskerId, CacheKey, FlightStanding, JoinFlight};
    use tidegate_core::cells::CellCall;
    use tidegate_core::cluster::ReadReplicas;
    use tidegate_core::ids::BudgetId;

    fn nothing(_key: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    #[test]
    fn the_bound_refuses_new_cells_and_keeps_old_ones() {
        let cells = Cells::default();
        let id = |number: usize| CellId::Cluster(format!("cluster-{number}").as_str().into());
        let mut states = cells.lock();
        let all = (0..MAX_CELLS).map(|number| (id(number), TimedCell::new(&id(number))));
        states.by_id.extend(all);
        drop(states);
        let look = || ReadReplicas.into_command();
        assert!(cells.call(&id(0), Timestamp::default(), look(), nothing).is_ok());
        assert!(matches!(
            cells.call(&id(MAX_CELLS), Timestamp::default(), look(), nothing),
            Err(CellError::Unreachable(_))
        ));
    }

    #[test]
    fn passing_cells_have_a_bound_of_their_own_and_are_forgotten_when_they_are_over() {
        let cells = Cells::default();
        let now = |seconds: u64| Timestamp::from_millis(1_000_000 + 1_000 * seconds);
        let join = |number: usize, seconds| {
            let key = CacheKey::parse(&format!("{number:064x}")).expect("a key");
            let join = JoinFlight {
                asker: AskerId(number as u64),
                ttl: Duration::from_secs(30),
            };
            let reply = cells.call(&CellId::Flight(key), now(seconds), join.into_command(), nothing);
            reply.and_then(JoinFlight::read)
        };
        for number in 0..MAX_PASSING {
            assert_eq!(join(number, 0), Ok(FlightStanding::Leads));
        }
        assert!(matches!(join(MAX_PASSING, 29), Err(CellError::Unreachable(_))));
        assert_eq!(join(0, 29), Ok(FlightStanding::Leads), "it leads on");
        let cluster = CellId::Cluster("c".into());
        assert!(
            cells
                .call(&cluster, now(29), ReadReplicas.into_command(), nothing)
                .is_ok()
        );
        assert_eq!(join(MAX_PASSING, 30), Ok(FlightStanding::Leads));
        assert_eq!(cells.lock().passing.by_id.len(), 2);
    }

    #[test]
    fn what_lasts_is_taken_up_again() {
        let id = CellId::Budget(BudgetId {
            tenant: "acme".into(),
            name: "all".into(),
        });
        let set = BudgetLimits {
            requests: Some(Rate::per_minute(7)),
            ..BudgetLimits::default()
        };
        let now = Timestamp::from_millis(1_000);
        let before = Cells::default();
        let command = SetLimits(Some(set)).into_command();
        before.call(&id, now, command, nothing).expect("called");
        let records = before.take_records().expect("written down");
        assert_eq!(store_key(&records[0].0), "cell/budget/acme/all");
        assert!(before.take_records().expect("written down").is_empty());
        let after = Cells::default();
        let status = ReadBudget {
            limits: BudgetLimits::default(),
        };
        let reply = after.call(&id, now, status.into_command(), |key| {
            assert_eq!(key, store_key(&records[0].0));
            Ok(Some(records[0].1.clone()))
        });
        let status = ReadBudget::read(reply.expect("called")).expect("a status");
        assert_eq!(status.limits, set);
    }

    #[test]
    fn what_changes_nothing_that_lasts_writes_nothing() {
        let budget = CellId::Budget(BudgetId {
            tenant: "acme".into(),
            name: "all".into(),
        });
        let cells = Cells::default();
        let look = |seconds: u64| {
            let limits = BudgetLimits::default();
            let now = Timestamp::from_millis(1_000 * seconds);
            let look = ReadBudget { limits }.into_command();
            cells.call(&budget, now, look, nothing).expect("called");
        };
        look(1);
        cells.take_records().expect("written down");
        look(2);
        let cluster = CellId::Cluster("eu".into());
        let now = Timestamp::from_millis(1_000);
        cells
            .call(&cluster, now, ReadReplicas.into_command(), nothing)
            .expect("called");
        assert!(cells.take_records().expect("written down").is_empty());
    }
}
