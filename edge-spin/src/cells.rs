//! Cells on Spin, where nothing but the database is shared: a cell is the log of its commands in SQLite. Running a
//! command is appending it, and every instance that uses the cell replays what others appended, in the log's order.
//! A cell's state follows from its commands and their times alone, so all instances come to the same replies.
//!
//! Appending never fails because another instance was quicker, as comparing and swapping a versioned row does: with
//! eight instances at work most swaps failed, and some commands never got through.
//!
//! Commands that come while a statement runs wait for it and are then appended together, as one entry. Those whose
//! reply nobody needs wait a little longer, for one that is urgent: a request then costs about one statement.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use spin_sdk::wasip3::clocks::monotonic_clock;
use tidegate_core::cells::{CellCommand, CellId, CellReply};
use tidegate_core::cluster::ClusterCommand;
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
}

/// A command, and whom to tell the reply.
struct Waiting {
    command: CellCommand,
    replier: Replier<Result<CellReply, CellError>>,
}

impl Cells {
    /// Runs one command. When the future is dropped, it may still run.
    ///
    /// # Errors
    /// When the database cannot be reached, or holds what this code does not read.
    pub(crate) async fn call(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        let cell = self.cell(id);
        let can_wait = can_wait(&command);
        let (replier, reply) = reply();
        cell.enqueue(Waiting { command, replier });
        if can_wait {
            monotonic_clock::wait_for(PAUSE_NS).await;
            if let Some(reply) = reply.take() {
                return reply;
            }
        }
        if cell.begin() {
            tasks::spawn(append_all(Rc::clone(&self.database), cell));
        }
        let gone = || {
            Err(CellError::Unreachable(
                "the task that appends commands ended".to_owned(),
            ))
        };
        reply.wait().await.unwrap_or_else(gone)
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
    fn begin(&self) -> bool {
        !std::mem::replace(&mut self.inner.borrow_mut().is_appending, true)
    }

    fn enqueue(&self, waiting: Waiting) {
        self.inner.borrow_mut().waiting.push(waiting);
    }

    /// What waits, at most [`MOST_TOGETHER`] commands; nothing says that the task has ended.
    fn take(&self) -> Vec<Waiting> {
        let mut inner = self.inner.borrow_mut();
        inner.is_appending = !inner.waiting.is_empty();
        let count = inner.waiting.len().min(MOST_TOGETHER);
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
        match append(&database, &cell, commands).await {
            Ok(replies) => repliers
                .into_iter()
                .zip(replies)
                .for_each(|(replier, reply)| replier.reply(Ok(reply))),
            Err(error) => repliers
                .into_iter()
                .for_each(|replier| replier.reply(Err(error.clone()))),
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

/// Whether no request waits for the reply, so that the command can wait for an urgent one to be appended with.
fn can_wait(command: &CellCommand) -> bool {
    match command {
        CellCommand::Cluster(ClusterCommand::Acquire(_) | ClusterCommand::Status) => false,
        CellCommand::Cluster(ClusterCommand::Renew { .. } | ClusterCommand::Release(_)) => true,
        CellCommand::Estimate(_) => true,
    }
}

/// Commands that are appended by one statement. An instance seldom has more requests than this.
const MOST_TOGETHER: usize = 256;
/// How long a command waits that can: a third of the time that an engine takes for one token, and a fraction of what a
/// request takes.
const PAUSE_NS: u64 = 10_000_000;
