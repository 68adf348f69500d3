//! The cells of the world, each one state for all locations, and who watches what passes between them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tidegate_core::cells::{Applied, CellCommand, CellId, CellReply, CellState, TimedCell};
use tidegate_core::time::Timestamp;

use crate::link::Link;
use crate::process::ProcessId;
use crate::skew::Skew;

/// What a cell is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellKind {
    /// A cluster's permits.
    Cluster,
    /// A model's estimate.
    Estimate,
    /// A tenant's budget.
    Budget,
    /// The orders that a region hop has taken.
    Orders,
    /// A model's rollout.
    Rollout,
    /// Who asks for the answer of a key.
    Flight,
}

impl CellKind {
    /// The kind of that cell.
    pub fn of(id: &CellId) -> Self {
        match id {
            CellId::Cluster(_) => Self::Cluster,
            CellId::Estimate(_) => Self::Estimate,
            CellId::Budget(_) => Self::Budget,
            CellId::Orders(_) => Self::Orders,
            CellId::Rollout(_) => Self::Rollout,
            CellId::Flight(_) => Self::Flight,
        }
    }
}

/// Something that happens between a process and a cell, as a checker sees it.
#[derive(Clone, Copy, Debug)]
pub struct Traffic<'a> {
    /// When, by the world's clock.
    pub at: Timestamp,
    /// Whose command it was.
    pub from: ProcessId,
    /// To which cell.
    pub cell: &'a CellId,
    /// What.
    pub what: Passing<'a>,
}

/// Where a command, or its reply, is.
#[derive(Clone, Copy, Debug)]
pub enum Passing<'a> {
    /// The process has sent it.
    Sent {
        /// The command.
        command: &'a CellCommand,
    },
    /// The cell has run it.
    Applied {
        /// The command.
        command: &'a CellCommand,
        /// What the cell replied.
        reply: &'a CellReply,
        /// The cell, as it is now.
        state: &'a CellState,
    },
    /// The process has the reply, before any of its tasks runs again.
    Replied {
        /// The reply.
        reply: &'a CellReply,
    },
}

type Watch = Rc<dyn Fn(&Traffic<'_>)>;

#[derive(Default)]
pub(crate) struct Cells {
    states: RefCell<BTreeMap<CellId, TimedCell>>,
    /// The wall clock where they are.
    pub wall: Skew,
    links: RefCell<BTreeMap<CellKind, Rc<Link>>>,
    sent: RefCell<BTreeMap<CellKind, u64>>,
    watch: RefCell<Option<Watch>>,
}

impl Cells {
    pub fn watch(&self, watch: impl Fn(&Traffic<'_>) + 'static) {
        *self.watch.borrow_mut() = Some(Rc::new(watch));
    }

    pub fn set_link(&self, kind: CellKind, link: Link) {
        self.links.borrow_mut().insert(kind, Rc::new(link));
    }

    pub fn link(&self, id: &CellId) -> Rc<Link> {
        let links = self.links.borrow();
        links
            .get(&CellKind::of(id))
            .map_or_else(|| Rc::new(Link::IDEAL), Rc::clone)
    }

    pub fn sent(&self, kind: CellKind) -> u64 {
        self.sent.borrow().get(&kind).copied().unwrap_or_default()
    }

    pub fn on_sent(&self, at: Timestamp, from: ProcessId, cell: &CellId, command: &CellCommand) {
        *self.sent.borrow_mut().entry(CellKind::of(cell)).or_default() += 1;
        let what = Passing::Sent { command };
        self.tell(&Traffic { at, from, cell, what });
    }

    pub fn on_replied(&self, at: Timestamp, from: ProcessId, cell: &CellId, reply: &CellReply) {
        let what = Passing::Replied { reply };
        self.tell(&Traffic { at, from, cell, what });
    }

    pub fn apply(&self, at: Timestamp, from: ProcessId, cell: &CellId, command: CellCommand) -> CellReply {
        let copy = self.watch.borrow().is_some().then(|| command.clone());
        self.with(cell, |timed| {
            let Applied { reply, .. } = timed.apply(self.wall.read(at), command);
            if let Some(command) = &copy {
                let (reply, state) = (&reply, timed.state());
                let what = Passing::Applied { command, reply, state };
                self.tell(&Traffic { at, from, cell, what });
            }
            reply
        })
    }

    /// Looks at a cell, which is made where it has not been yet.
    pub fn with<T>(&self, id: &CellId, look: impl FnOnce(&mut TimedCell) -> T) -> T {
        let mut states = self.states.borrow_mut();
        match states.get_mut(id) {
            Some(state) => look(state),
            None => look(states.entry(id.clone()).or_insert_with(|| TimedCell::new(id))),
        }
    }

    fn tell(&self, traffic: &Traffic<'_>) {
        let watch = self.watch.borrow().clone();
        if let Some(watch) = watch {
            watch(traffic);
        }
    }
}
