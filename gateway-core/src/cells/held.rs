//! Calls that are not replied to yet, for runtimes that can hold them: what is asked for has its turn to come. It knows which
//! calls are held, and never what they ask for.

use std::collections::BTreeMap;

use futures::channel::oneshot;

use super::TimedCell;
use crate::cluster::PermitId;
use crate::time::Moment;

/// The calls that are held of one cell.
#[derive(Debug, Default)]
pub struct HeldCalls(BTreeMap<PermitId, oneshot::Sender<()>>);

impl HeldCalls {
    /// The call for that permit is held. What is given completes when it is to be made again, if that is sooner than it is
    /// replied to.
    pub fn hold(&mut self, permit: PermitId) -> oneshot::Receiver<()> {
        self.0.retain(|_, held| !held.is_canceled());
        let (sender, turn) = oneshot::channel();
        self.0.insert(permit, sender);
        turn
    }

    /// The cell has run a command: those whose turns have come are to be made again.
    pub fn on_applied(&mut self, cell: &mut TimedCell, at: impl Into<Moment>) {
        if self.0.is_empty() {
            return;
        }
        for permit in cell.turns(at) {
            if let Some(held) = self.0.remove(&permit) {
                // Whoever waits no longer is not woken.
                let _ = held.send(());
            }
        }
    }
}
