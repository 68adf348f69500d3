//! Connections that wait for their next request, by origin. The one used last is taken first, so that the rest can
//! go idle and be closed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::connect::Origin;
use super::connection::Connection;

/// One thread's free connections.
#[derive(Debug, Default)]
pub struct Pool {
    origins: RefCell<BTreeMap<Origin, Rc<FreeConnections>>>,
}

/// Free connections to one origin.
#[derive(Debug)]
pub struct FreeConnections {
    /// The origin as `host` names it.
    pub host: HeaderValue,
    stack: RefCell<Vec<Free>>,
}

#[derive(Debug)]
struct Free {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// The free connections to `origin`.
    pub fn of(&self, origin: &Origin) -> Rc<FreeConnections> {
        if let Some(free) = self.origins.borrow().get(origin) {
            return Rc::clone(free);
        }
        let free = Rc::new(FreeConnections::none(origin));
        let mut origins = self.origins.borrow_mut();
        Rc::clone(origins.entry(origin.clone()).or_insert(free))
    }

    /// Closes all that is free.
    pub fn clear(&self) {
        self.origins.borrow().values().for_each(|free| free.clear());
    }

    /// Closes what has been idle for too long, and forgets origins that nobody uses.
    pub fn sweep(&self) {
        self.origins.borrow_mut().retain(|_, free| {
            free.sweep();
            Rc::strong_count(free) > 1 || !free.stack.borrow().is_empty()
        });
    }
}

impl FreeConnections {
    fn none(origin: &Origin) -> Self {
        // An authority is made of characters that any header value may hold.
        let host = HeaderValue::from_str(origin.authority.as_str());
        Self {
            host: host.unwrap_or(HeaderValue::from_static("")),
            stack: RefCell::default(),
        }
    }

    /// A connection that was open when it was used last.
    pub fn take(&self) -> Option<Connection> {
        let mut stack = self.stack.borrow_mut();
        while let Some(Free { connection, since }) = stack.pop() {
            if since.elapsed() >= IDLE_TIMEOUT {
                // All below it have been idle for longer still.
                stack.clear();
            } else if !connection.is_aged() {
                return Some(connection);
            }
        }
        None
    }

    /// Closes all of them: the engine has closed one, and most likely has been started anew.
    pub fn clear(&self) {
        self.stack.borrow_mut().clear();
    }

    /// Keeps a connection whose exchange is complete.
    pub fn put(&self, connection: Connection) {
        let mut stack = self.stack.borrow_mut();
        if stack.len() < MAX_FREE && !connection.is_aged() {
            stack.push(Free {
                connection,
                since: Instant::now(),
            });
        }
    }

    fn sweep(&self) {
        self.stack
            .borrow_mut()
            .retain(|free| free.since.elapsed() < IDLE_TIMEOUT);
    }
}

/// Below the 5 s after which uvicorn, and so vLLM and SGLang, close an idle connection: a request sent just then
/// would be lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Free connections kept per origin and thread.
const MAX_FREE: usize = 256;
