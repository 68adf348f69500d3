//! What one request's exchange has of its record: where what happens is written down, whether somebody has asked for it, and
//! when all of it has happened.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use crate::explain::{DecisionRecord, KeptRecord};
use crate::observe::Event;

/// The record of one request; none where nobody wants one.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    begun: OnceCell<Begun>,
    /// How many hold what the answer needs until it is delivered.
    delivering: Cell<u32>,
}

#[derive(Debug)]
struct Begun {
    record: KeptRecord,
    purpose: Purpose,
    /// Its number among those that are kept; `None` where it is not.
    number: Option<u64>,
}

/// Whom a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Whoever looks later.
    Keep,
    /// Whoever sent the request too, in all detail.
    Tell,
    /// Who only wants to know what would happen: metrics and logs hear nothing of it.
    DryRun,
}

impl Recorder {
    /// From now on what happens is written down.
    pub fn begin(&self, record: KeptRecord, purpose: Purpose, number: Option<u64>) {
        self.begun.get_or_init(|| Begun {
            record,
            purpose,
            number,
        });
    }

    /// Something happened; `after` says how long after the request's arrival.
    pub fn on(&self, after: impl FnOnce() -> Duration, event: &Event<'_>) {
        self.with(|record| record.on(after(), event));
    }

    /// Looks at the record, or changes it, if there is one.
    pub fn with<T>(&self, work: impl FnOnce(&mut DecisionRecord) -> T) -> Option<T> {
        Some(work(&mut self.begun.get()?.record.get()))
    }

    /// Whether it is told to whoever has sent the request.
    pub fn is_told(&self) -> bool {
        self.purpose() == Some(Purpose::Tell)
    }

    /// Whether cells are to tell what they weigh.
    pub fn explains(&self) -> bool {
        match self.purpose() {
            Some(Purpose::Tell | Purpose::DryRun) => true,
            Some(Purpose::Keep) | None => false,
        }
    }

    /// Whether nothing really happens.
    pub fn is_dry_run(&self) -> bool {
        self.purpose() == Some(Purpose::DryRun)
    }

    /// Its number among those that are kept.
    pub fn number(&self) -> Option<u64> {
        self.begun.get()?.number
    }

    /// Somebody begins to hold what the answer needs.
    pub fn on_delivering(&self) {
        self.delivering.set(self.delivering.get() + 1);
    }

    /// Somebody holds it no longer.
    pub fn on_delivered(&self) {
        self.delivering.set(self.delivering.get().saturating_sub(1));
    }

    /// Whether nobody does.
    pub fn is_delivered(&self) -> bool {
        self.delivering.get() == 0
    }

    fn purpose(&self) -> Option<Purpose> {
        Some(self.begun.get()?.purpose)
    }
}
