//! Cells on Spin, where nothing but the database is shared: a cell is the log of its commands in SQLite. Running a
//! command is appending it, and every instance that uses the cell replays what others appended, in the log's order.
//! A cell's state follows from its commands and their times alone, so all instances come to the same replies.
//!
//! Appending never fails because another instance was quicker, as comparing and swapping a versioned row does: with
//! eight instances at work most swaps failed, and some commands never got through.
//!
//! Commands that come while a statement runs wait for it and are then appended together, as one entry. Those that only
//! tell the cell something wait a little longer, for one that is urgent: a request then costs about one statement.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use spin_sdk::wasip3::clocks::monotonic_clock;
use tidegate_core::cells::{CellCommand, CellId, CellReply};
use tidegate_core::platform::CellError;

use crate::database::{Database, Replica};
use crate::reply::{Replier, reply};
use crate::tasks;

/// The cells that this instance has used.
#[derive(Default)]
pub(crate) struct Cells {
    database: Rc<Database>,
    cells: RefCell<BTreeMap<CellId, Rc<Cell>>>,
}

/// One cell, as this instance knows it.
struct Cell {
    id: CellId,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The state up to the last entry that this instance has seen.
    replica: Option<Replica>,
    waiting: Vec<Waiting>,
    /// Whether a task appends what waits.
    is_appending: bool,
    /// Whether a task waits until what only tells the cell something has waited for long enough.
    is_lingering: bool,
    /// Whether it has.
    is_overdue: bool,
}

/// A command, and whom to tell the reply, if anybody waits for it.
struct Waiting {
    command: CellCommand,
    replier: Option<Replier<Result<CellReply, CellError>>>,
}

impl Cells {
    /// Runs one command. When the future is dropped, it may still run.
    ///
    /// # Errors
    /// When the database cannot be reached, or holds what this code does not read.
    pub(crate) async fn call(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        let cell = self.cell(id);
        match command.reply_to_come() {
            Some(reply) => {
                self.tell(&cell, command);
                Ok(reply)
            }
            None => self.ask(&cell, command).await,
        }
    }

    /// Leaves a command to be appended with the next that is urgent, or after a while. A failure is told to nobody:
    /// what only tells a cell something heals when it is lost.
    fn tell(&self, cell: &Rc<Cell>, command: CellCommand) {
        cell.enqueue(Waiting { command, replier: None });
        if !cell.begin_lingering() {
            return;
        }
        let (database, cell) = (Rc::clone(&self.database), Rc::clone(cell));
        tasks::spawn(async move {
            monotonic_clock::wait_for(PAUSE_NS).await;
            cell.end_lingering();
            if cell.begin_appending() {
                append_all(database, cell).await;
            }
        });
    }

    async fn ask(&self, cell: &Rc<Cell>, command: CellCommand) -> Result<CellReply, CellError> {
        let (replier, reply) = reply();
        cell.enqueue(Waiting {
            command,
            replier: Some(replier),
        });
        let reply = if cell.begin_appending() {
            tasks::spawn(append_all(Rc::clone(&self.database), Rc::clone(cell)));
            reply.wait_within_task().await
        } else {
            reply.wait().await
        };
        reply.unwrap_or_else(|| {
            Err(CellError::Unreachable(
                "the task that appends commands ended".to_owned(),
            ))
        })
    }

    fn cell(&self, id: &CellId) -> Rc<Cell> {
        let mut cells = self.cells.borrow_mut();
        if let Some(cell) = cells.get(id) {
            return Rc::clone(cell);
        }
        let cell = Rc::new(Cell {
            id: id.clone(),
            inner: RefCell::default(),
        });
        cells.insert(id.clone(), Rc::clone(&cell));
        cell
    }
}

impl Cell {
    /// Whether the caller must start the task that appends what waits.
    fn begin_appending(&self) -> bool {
        !std::mem::replace(&mut self.inner.borrow_mut().is_appending, true)
    }

    /// Whether the caller must start the task that lingers.
    fn begin_lingering(&self) -> bool {
        !std::mem::replace(&mut self.inner.borrow_mut().is_lingering, true)
    }

    fn end_lingering(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.is_lingering = false;
        inner.is_overdue = true;
    }

    fn enqueue(&self, waiting: Waiting) {
        self.inner.borrow_mut().waiting.push(waiting);
    }

    /// What waits, at most [`MOST_TOGETHER`] commands, if it has to be appended now. Nothing says that the task that
    /// appends has ended.
    fn take(&self) -> Vec<Waiting> {
        let mut inner = self.inner.borrow_mut();
        let is_urgent = inner.is_overdue || inner.waiting.iter().any(|waiting| waiting.replier.is_some());
        let count = if is_urgent {
            inner.waiting.len().min(MOST_TOGETHER)
        } else {
            0
        };
        inner.is_appending = count > 0;
        inner.is_overdue &= count < inner.waiting.len();
        inner.waiting.drain(..count).collect()
    }
}

async fn append_all(database: Rc<Database>, cell: Rc<Cell>) {
    loop {
        let batch = cell.take();
        if batch.is_empty() {
            return;
        }
        let (commands, repliers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.command, waiting.replier))
            .unzip();
        let mut replies = append(&database, &cell, commands).await.map(Vec::into_iter);
        for replier in repliers {
            let reply = match &mut replies {
                Ok(replies) => replies.next().map(Ok),
                Err(error) => Some(Err(error.clone())),
            };
            if let (Some(replier), Some(reply)) = (replier, reply) {
                replier.reply(reply);
            }
        }
    }
}

/// Appends the commands as one entry, and returns their replies.
async fn append(database: &Database, cell: &Cell, commands: Vec<CellCommand>) -> Result<Vec<CellReply>, CellError> {
    let replica = cell.inner.borrow_mut().replica.take();
    let replica = match replica {
        Some(replica) => replica,
        None => database.load(&cell.id).await?,
    };
    let (replica, replies) = database.append(&cell.id, replica, commands).await?;
    cell.inner.borrow_mut().replica = Some(replica);
    Ok(replies)
}

/// Commands that are appended by one statement. An instance seldom has more requests than this.
const MOST_TOGETHER: usize = 256;
/// How long a command waits that only tells the cell something: a third of the time that an engine takes for one token,
/// and a fraction of what a request takes.
const PAUSE_NS: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use tidegate_core::cluster::ClusterCommand;

    use super::*;

    fn waiting(is_asked: bool) -> Waiting {
        Waiting {
            command: CellCommand::Cluster(ClusterCommand::Status),
            replier: is_asked.then(|| reply().0),
        }
    }

    #[test]
    fn what_only_tells_waits_for_a_command_that_asks_or_until_it_is_overdue() {
        let cell = Cell {
            id: CellId::Cluster("a".into()),
            inner: RefCell::default(),
        };
        cell.enqueue(waiting(false));
        assert!(cell.begin_lingering() && !cell.begin_lingering());
        assert!(cell.begin_appending());
        assert!(cell.take().is_empty());
        cell.enqueue(waiting(true));
        assert!(cell.begin_appending() && !cell.begin_appending());
        assert_eq!((cell.take().len(), cell.take().len()), (2, 0));
        cell.enqueue(waiting(false));
        cell.end_lingering();
        assert_eq!((cell.take().len(), cell.take().len()), (1, 0));
    }

    #[test]
    fn what_does_not_fit_into_one_entry_goes_into_the_next() {
        let cell = Cell {
            id: CellId::Cluster("a".into()),
            inner: RefCell::default(),
        };
        (0..=MOST_TOGETHER).for_each(|_| cell.enqueue(waiting(false)));
        cell.end_lingering();
        assert_eq!(
            (cell.take().len(), cell.take().len(), cell.take().len()),
            (MOST_TOGETHER, 1, 0)
        );
    }
}
