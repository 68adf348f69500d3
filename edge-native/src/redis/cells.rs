//! Cells in Redis: each the log of its commands, which every process that uses the cell replays. What waits for a cell
//! is one batch for all threads of this process, so that what comes at one time travels as one entry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_core::cells::append_batch::{AppendBatch, PAUSE};
use tidegate_core::cells::redis::{Append, Follower, Step};
use tidegate_core::cells::{CellCommand, CellError, CellId, CellReply};
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::link::{Failure, Link, PATIENCE};
use crate::cells::{MAX_CELLS, too_many};

/// The cells that this process has used.
#[derive(Debug)]
pub struct LoggedCells {
    link: Arc<Link>,
    /// Where commands are appended, whichever thread they come from.
    runtime: Handle,
    cells: Mutex<BTreeMap<CellId, Arc<Cell>>>,
}

/// One cell, as this process knows it.
#[derive(Debug)]
struct Cell {
    batch: Mutex<AppendBatch<Replier>>,
    /// Held by the one task that appends.
    follower: AsyncMutex<Follower>,
}

type Replier = oneshot::Sender<Result<CellReply, CellError>>;

impl LoggedCells {
    /// None yet.
    pub fn new(link: Arc<Link>, runtime: Handle) -> Self {
        Self {
            link,
            runtime,
            cells: Mutex::default(),
        }
    }

    /// Runs one command. When the future is dropped, it may still run.
    ///
    /// # Errors
    /// When Redis does not answer in time, or holds what this code does not read.
    pub async fn call(&self, id: &CellId, command: CellCommand) -> Result<CellReply, CellError> {
        let cell = self.cell(id)?;
        if let Some(reply) = command.reply_to_come() {
            if cell.batch().tell(command) {
                drop(self.runtime.spawn(linger(Arc::clone(&self.link), cell)));
            }
            return Ok(reply);
        }
        let (replier, reply) = oneshot::channel();
        if cell.batch().ask(command, replier) {
            drop(self.runtime.spawn(append_all(Arc::clone(&self.link), cell)));
        }
        match timeout(PATIENCE, reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_dropped)) => Err(CellError::Unreachable("the process is ending".to_owned())),
            Err(_elapsed) => Err(CellError::Unreachable("Redis gave no reply in time".to_owned())),
        }
    }

    /// Lets what waits be appended now, for at most [`PATIENCE`].
    pub async fn flush(&self) {
        let cells: Vec<_> = lock(&self.cells).values().cloned().collect();
        let flushed = async {
            for cell in cells {
                if cell.batch().end_lingering() {
                    append_all(Arc::clone(&self.link), Arc::clone(&cell)).await;
                }
                // Where another task appends, it ends when it holds the follower no more.
                while !cell.batch().is_idle() {
                    drop(cell.follower.lock().await);
                    tokio::task::yield_now().await;
                }
            }
        };
        if timeout(PATIENCE, flushed).await.is_err() {
            warn!("some of what cells were to be told did not reach Redis: it heals when permits expire");
        }
    }

    fn cell(&self, id: &CellId) -> Result<Arc<Cell>, CellError> {
        if id.is_passing() {
            // Its log is short, and read anew each time.
            return Ok(Arc::new(Cell::new(id)));
        }
        let mut cells = lock(&self.cells);
        if let Some(cell) = cells.get(id) {
            return Ok(Arc::clone(cell));
        }
        if cells.len() >= MAX_CELLS {
            return Err(too_many(MAX_CELLS));
        }
        let cell = Arc::new(Cell::new(id));
        cells.insert(id.clone(), Arc::clone(&cell));
        Ok(cell)
    }
}

impl Cell {
    fn new(id: &CellId) -> Self {
        Self {
            batch: Mutex::default(),
            follower: AsyncMutex::new(Follower::new(id)),
        }
    }

    fn batch(&self) -> MutexGuard<'_, AppendBatch<Replier>> {
        lock(&self.batch)
    }
}

async fn linger(link: Arc<Link>, cell: Arc<Cell>) {
    sleep(PAUSE).await;
    let is_ours = cell.batch().end_lingering();
    if is_ours {
        append_all(link, cell).await;
    }
}

/// Appends what waits, until nothing has to be appended any more.
async fn append_all(link: Arc<Link>, cell: Arc<Cell>) {
    loop {
        let Some((commands, repliers)) = cell.batch().take() else {
            return;
        };
        let mut follower = cell.follower.lock().await;
        let replies = append(&link, &mut follower, commands).await;
        // Whoever does not wait any more is not told.
        repliers.reply(replies, |replier, reply| drop(replier.send(reply)));
        let left_out = follower.take_left_out();
        if left_out > 0 {
            warn!(
                left_out,
                "entries of a cell are left out: damaged, or of another version"
            );
        }
        if let Some(by) = follower.take_set_back() {
            let by_s = by.as_secs();
            warn!(by_s, "the clock of Redis was set back: cells go on from there");
        }
        snapshot(&link, &follower);
    }
}

/// Appends the commands as one entry, and returns their replies.
async fn append(link: &Link, follower: &mut Follower, commands: Vec<CellCommand>) -> Result<Vec<CellReply>, CellError> {
    let name = getrandom::u64().map_err(|error| CellError::Unreachable(error.to_string()))?;
    let mut append = Append::new(name, commands);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match link.run(&append.call(follower)?, deadline).await {
            Ok(reply) => match append.on_reply(follower, &flat(reply))? {
                Step::Done(replies) => return Ok(replies),
                Step::CaughtUp => {}
            },
            Err(Failure::Lost(detail)) if Instant::now() >= deadline => return Err(unreachable(detail)),
            Err(Failure::Lost(_)) => append.on_lost(),
            Err(failure @ (Failure::NotSent(_) | Failure::Refused(_))) => return Err(unreachable(failure.to_string())),
        }
    }
}

/// Writes a snapshot if one is due, beside what else happens: an older one never replaces a newer one.
fn snapshot(link: &Arc<Link>, follower: &Follower) {
    let call = match follower.due_snapshot() {
        Ok(Some(call)) => call,
        Ok(None) => return,
        Err(error) => return warn!(%error, "no snapshot of a cell"),
    };
    let link = Arc::clone(link);
    drop(tokio::spawn(async move {
        if let Err(failure) = link.run(&call, Instant::now() + PATIENCE).await {
            warn!("no snapshot of a cell: {failure}");
        }
    }));
}

/// The values of a reply in order, those of nested lists too.
fn flat(reply: redis::Value) -> Vec<Vec<u8>> {
    fn add(values: &mut Vec<Vec<u8>>, reply: redis::Value) {
        if let redis::Value::Array(replies) = reply {
            replies.into_iter().for_each(|reply| add(values, reply));
        } else if let redis::Value::BulkString(bytes) = reply {
            values.push(bytes);
        } else if let redis::Value::Int(number) = reply {
            values.push(number.to_string().into_bytes());
        } else {
            // Nothing that the scripts return.
            values.push(Vec::new());
        }
    }
    let mut values = Vec::new();
    add(&mut values, reply);
    values
}

fn unreachable(detail: String) -> CellError {
    CellError::Unreachable(format!("Redis: {detail}"))
}

/// What a panic left is sound: each lock guards one change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
