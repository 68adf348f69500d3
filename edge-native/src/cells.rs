//! Cells in this process: one map behind one lock. A command runs in well under a microsecond and the lock is never
//! held across an await, so threads hardly ever meet at it. Cells hold figures of the moment, which heal by expiry;
//! a restart begins with empty ones.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tidegate_core::cells::{CellCommand, CellId, CellReply, CellState};
use tidegate_core::platform::CellError;
use tidegate_core::time::Timestamp;

/// Every cell of this process.
#[derive(Debug, Default)]
pub struct Cells {
    states: Mutex<BTreeMap<CellId, CellState>>,
}

impl Cells {
    /// Runs one command in the cell, which begins empty when it is met for the first time.
    ///
    /// # Errors
    /// When the cell would be one more than [`MAX_CELLS`].
    pub fn call(&self, id: &CellId, now: Timestamp, command: CellCommand) -> Result<CellReply, CellError> {
        // A command that panicked left a state that its own invariants and expiry heal; refusing all later ones
        // would not.
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get_mut(id) {
            return Ok(state.apply(now, command));
        }
        if states.len() >= MAX_CELLS {
            return Err(too_many());
        }
        Ok(states
            .entry(id.clone())
            .or_insert_with(|| CellState::new(id))
            .apply(now, command))
    }
}

/// Why a new cell is refused.
pub fn too_many() -> CellError {
    CellError::Unreachable(format!("this process keeps {MAX_CELLS} cells, its bound"))
}

/// Most cells that a process keeps. Their names come from the configuration, so only a process that lived through
/// very many configurations could come near it.
pub const MAX_CELLS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::cluster::ClusterCommand;

    #[test]
    fn the_bound_refuses_new_cells_and_keeps_old_ones() {
        let cells = Cells::default();
        let id = |number: usize| CellId::Cluster(format!("cluster-{number}").as_str().into());
        let mut states = cells.states.lock().expect("not poisoned");
        states.extend((0..MAX_CELLS).map(|number| (id(number), CellState::new(&id(number)))));
        drop(states);
        let look = || CellCommand::Cluster(ClusterCommand::Status);
        assert!(cells.call(&id(0), Timestamp::default(), look()).is_ok());
        assert!(matches!(
            cells.call(&id(MAX_CELLS), Timestamp::default(), look()),
            Err(CellError::Unreachable(_))
        ));
    }
}
