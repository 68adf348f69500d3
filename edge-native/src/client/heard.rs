//! Whether anything comes over a connection to an engine: it tells one that was closed while it was kept, before the engine
//! read a request, from one that broke off within its answer.

use std::cell::Cell;
use std::rc::Rc;

use tokio::io::ReadBuf;

use crate::tapped::Tap;

/// Whether anything has come.
#[derive(Clone, Debug, Default)]
pub struct Heard(Rc<Cell<bool>>);

impl Heard {
    /// Whether anything has come since [`forget`](Self::forget).
    pub fn anything(&self) -> bool {
        self.0.get()
    }

    /// Begins anew.
    pub fn forget(&self) {
        self.0.set(false);
    }
}

impl Tap for Heard {
    fn on_read(&mut self, buffer: &mut ReadBuf<'_>, from: usize) {
        if buffer.filled().len() > from {
            self.0.set(true);
        }
    }
}
