//! Connections that wait for their next request, by origin. The one used last is taken first, so that the rest can
//! go idle and be closed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::connect::Origin;
use super::connection::Connection;

/// One thread's free connections.
#[derive(Debug, Default)]
pub struct Pool {
    free: RefCell<HashMap<Origin, Vec<Free>>>,
}

#[derive(Debug)]
struct Free {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// A connection to `origin` that was open when last heard of.
    pub fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut free = self.free.borrow_mut();
        let stack = free.get_mut(origin)?;
        while let Some(Free { connection, since }) = stack.pop() {
            if since.elapsed() >= IDLE_TIMEOUT {
                // All below it are older still.
                stack.clear();
            } else if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose exchange is complete.
    pub fn put(&self, origin: Origin, connection: Connection) {
        let mut free = self.free.borrow_mut();
        let stack = free.entry(origin).or_default();
        if stack.len() < MAX_FREE_PER_ORIGIN && !connection.is_closed() {
            stack.push(Free {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Closes what has been idle for too long, and forgets origins without connections.
    pub fn sweep(&self) {
        self.free.borrow_mut().retain(|_, stack| {
            stack.retain(|free| free.since.elapsed() < IDLE_TIMEOUT && !free.connection.is_closed());
            !stack.is_empty()
        });
    }
}

/// Below the 5 s after which uvicorn, and so vLLM and SGLang, close an idle connection: a request sent just then
/// would be lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Free connections kept per origin and thread.
const MAX_FREE_PER_ORIGIN: usize = 256;
