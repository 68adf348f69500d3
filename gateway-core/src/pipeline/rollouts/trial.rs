//! What one request meets at the version that it has: told to the model's cell when the request is over, unless it says
//! nothing of the version.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Model;
use crate::ids::{Tokens, VersionName};
use crate::ladder::{AttemptError, version_fault};
use crate::observe::{Event, RollingOut};
use crate::pipeline::context::Exchange;
use crate::platform::Platform;
use crate::prefix::index::RowKey;
use crate::rollout::{Evidence, FaultKind, PromptClass};
use crate::time::Timestamp;

/// The version that a request has in one tier of its ladder.
#[derive(Debug)]
pub(in crate::pipeline) struct Allotment {
    pub model: Arc<Model>,
    pub version: VersionName,
    /// Of the weights by which it has it; `None` where what it meets is not to count.
    pub revision: Option<u64>,
    /// The row that is to say where the conversation has begun, where that is not where it is presumed.
    pub row: Option<RowKey>,
}

/// A request at its version. It is told when it is dropped.
#[derive(Debug)]
pub(in crate::pipeline) struct Trial<P: Platform> {
    exchange: Rc<Exchange<P>>,
    allotment: Allotment,
    began: Timestamp,
    met: Cell<Met>,
    /// Whether what passes to the client is the version's.
    answers: Cell<bool>,
    first_token: Cell<Option<(PromptClass, Duration)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    /// Nothing that says anything of the version.
    Nothing,
    Answered,
    Failed(FaultKind),
    /// The request is at fault, whatever it has met.
    OwnFault,
}

impl<P: Platform> Trial<P> {
    fn new(exchange: &Rc<Exchange<P>>, allotment: Allotment) -> Self {
        Self {
            exchange: Rc::clone(exchange),
            allotment,
            began: exchange.platform.now(),
            met: Cell::new(Met::Nothing),
            answers: Cell::default(),
            first_token: Cell::default(),
        }
    }

    /// The version begins to answer; with its first token, where that is known to come now, of a prompt with so many tokens
    /// to compute.
    pub fn on_answered(&self, uncached: Option<Tokens>) {
        self.answers.set(true);
        if self.met.get() == Met::Nothing {
            self.met.set(Met::Answered);
        }
        let after = self.exchange.platform.now().since(self.began);
        self.first_token
            .set(uncached.map(|uncached| (PromptClass::of(uncached), after)));
    }

    /// An attempt at the version failed.
    pub fn on_failed(&self, error: &AttemptError) {
        self.on_error(error, false);
    }

    /// The answer breaks off that passes, if it is the version's.
    pub fn on_broken_off(&self, error: &AttemptError) {
        if self.answers.get() {
            self.on_error(error, true);
        }
    }

    fn on_error(&self, error: &AttemptError, has_begun: bool) {
        if let (Some(fault), Met::Nothing | Met::Answered) = (version_fault(error, has_begun), self.met.get()) {
            self.met.set(Met::Failed(fault));
        }
    }

    /// The version.
    pub fn version(&self) -> &VersionName {
        &self.allotment.version
    }

    /// The row that is to say where the conversation has begun.
    pub fn row(&self) -> Option<&RowKey> {
        self.allotment.row.as_ref()
    }
}

impl<P: Platform> Drop for Trial<P> {
    fn drop(&mut self) {
        let fault = match self.met.get() {
            Met::Nothing | Met::OwnFault => return,
            Met::Answered => None,
            Met::Failed(fault) => Some(fault),
        };
        let Allotment {
            model,
            version,
            revision,
            ..
        } = &self.allotment;
        self.exchange.tell(&Event::Rollout(RollingOut::Met {
            model: &model.name,
            version,
            fault,
        }));
        if let Some(revision) = revision {
            let mut met = Evidence::default();
            met.on_request(fault, self.first_token.get());
            self.exchange.on_met(model, *revision, version, &met);
        }
    }
}

/// The versions that a request has, by the tiers that it has come to.
#[derive(Debug)]
pub(in crate::pipeline) struct Trials<P: Platform>(RefCell<Vec<(usize, Rc<Trial<P>>)>>);

impl<P: Platform> Default for Trials<P> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<P: Platform> Trials<P> {
    /// In that tier the request has that version.
    pub fn begin(&self, exchange: &Rc<Exchange<P>>, tier: usize, allotment: Allotment) {
        let trial = Rc::new(Trial::new(exchange, allotment));
        self.0.borrow_mut().push((tier, trial));
    }

    /// The request is found to be at fault, whatever it has met at any version.
    pub fn on_own_fault(&self) {
        let trials = self.0.borrow();
        trials.iter().for_each(|(_, trial)| trial.met.set(Met::OwnFault));
    }

    /// The one of that tier, where its model has versions.
    pub fn of(&self, tier: usize) -> Option<Rc<Trial<P>>> {
        let trials = self.0.borrow();
        let (_, trial) = trials.iter().find(|(known, _)| *known == tier)?;
        Some(Rc::clone(trial))
    }
}
