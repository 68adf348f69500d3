//! Cells on Spin, where nothing but a database is shared: a cell is the log of its commands, in SQLite or in Redis.
//! Appending never fails because another instance was quicker, as comparing and swapping a versioned row does: with
//! eight instances at work most swaps failed, and some commands never got through.

mod redis;
mod sqlite;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tidegate_core::cells::append_batch::{AppendBatch, PAUSE};
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};

use crate::reply::{Replier, reply};
use crate::{tasks, timers};

pub(crate) use self::sqlite::Sqlite;

/// Where the logs of cells are.
pub(crate) trait Log: 'static {
    /// A cell up to the last entry that this instance has seen.
    type Replayed;

    /// Appends the commands as one entry, brings what is known of the cell up to it, and returns the replies. What is
    /// known is `None` at first, and again after a failure that leaves it unsure.
    ///
    /// # Errors
    /// When the database cannot be reached, or holds what this code does not read. The commands may have run.
    async fn append(
        &self,
        id: &CellId,
        replayed: &mut Option<Self::Replayed>,
        commands: Vec<CellCommand>,
    ) -> Result<Vec<CellReply>, CellError>;
}

/// The cells that this instance has used.
pub(crate) struct Cells<L: Log> {
    log: Rc<L>,
    cells: RefCell<BTreeMap<CellId, Rc<Cell<L>>>>,
}

/// One cell, as this instance knows it.
struct Cell<L: Log> {
    id: CellId,
    batch: RefCell<AppendBatch<Replier<Result<CellReply, CellError>>>>,
    /// Taken by the one task that appends.
    replayed: RefCell<Option<L::Replayed>>,
}

impl<L: Log> Cells<L> {
    /// Cells in this log; none is known yet.
    pub(crate) fn new(log: Rc<L>) -> Self {
        Self {
            log,
            cells: RefCell::default(),
        }
    }

    /// Runs one command. When the future is dropped, it may still run.
    ///
    /// # Errors
    /// When the database cannot be reached, or holds what this code does not read.
    pub(crate) async fn call(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        let cell = self.cell(id);
        match command.reply_to_come() {
            Some(reply) => {
                self.tell(cell, command);
                Ok(reply)
            }
            None => self.ask(cell, command).await,
        }
    }

    /// Leaves a command to be appended with the next that is urgent, or after a while.
    fn tell(&self, cell: Rc<Cell<L>>, command: CellCommand) {
        if !cell.batch.borrow_mut().tell(command) {
            return;
        }
        let log = Rc::clone(&self.log);
        tasks::spawn(async move {
            timers::sleep(PAUSE).await;
            let is_ours = cell.batch.borrow_mut().end_lingering();
            if is_ours {
                append_all(log, cell).await;
            }
        });
    }

    async fn ask(&self, cell: Rc<Cell<L>>, command: CellCommand) -> Result<CellReply, CellError> {
        let (replier, reply) = reply();
        let is_ours = cell.batch.borrow_mut().ask(command, replier);
        let reply = if is_ours {
            tasks::spawn(append_all(Rc::clone(&self.log), cell));
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

    fn cell(&self, id: &CellId) -> Rc<Cell<L>> {
        let new = || {
            Rc::new(Cell {
                id: id.clone(),
                batch: RefCell::default(),
                replayed: RefCell::default(),
            })
        };
        if id.is_passing() {
            // Its log is short, and read anew each time.
            return new();
        }
        let mut cells = self.cells.borrow_mut();
        if let Some(cell) = cells.get(id) {
            return Rc::clone(cell);
        }
        let cell = new();
        cells.insert(id.clone(), Rc::clone(&cell));
        cell
    }
}

/// Appends what waits, until nothing has to be appended any more.
async fn append_all<L: Log>(log: Rc<L>, cell: Rc<Cell<L>>) {
    loop {
        let taken = cell.batch.borrow_mut().take();
        let Some((commands, repliers)) = taken else {
            return;
        };
        let mut replayed = cell.replayed.take();
        let replies = log.append(&cell.id, &mut replayed, commands).await;
        cell.replayed.replace(replayed);
        repliers.reply(replies, Replier::reply);
    }
}

/// What the log says of a cell that goes on although the clock was set back.
fn set_back(id: &CellId, by: Duration) -> String {
    format!(
        "the clock of {} was set back by {} s: it goes on from there",
        id.key(),
        by.as_secs()
    )
}
