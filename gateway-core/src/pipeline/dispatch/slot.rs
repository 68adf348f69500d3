//! The permits that an order holds, while its walk and its delivery both look after them: that of the replica which works
//! on it, and, without its room, that of one which has failed, until it is known whose doing that was. A breaker that waits
//! for a probe goes on waiting meanwhile.

use std::cell::RefCell;
use std::time::Duration;

use super::Permit;
use crate::cluster::Outcome;
use crate::ladder::AttemptError;
use crate::platform::Platform;

/// Where an order's permits are.
#[derive(Debug)]
pub(in crate::pipeline) struct PermitSlot<P: Platform> {
    running: RefCell<Option<Permit<P>>>,
    suspended: RefCell<Option<Permit<P>>>,
}

impl<P: Platform> Default for PermitSlot<P> {
    fn default() -> Self {
        Self {
            running: RefCell::default(),
            suspended: RefCell::default(),
        }
    }
}

impl<P: Platform> PermitSlot<P> {
    /// A replica works on the order, under that permit.
    pub fn hold(&self, permit: Permit<P>) {
        *self.running.borrow_mut() = Some(permit);
    }

    /// Whether a replica works on the order.
    pub fn is_held(&self) -> bool {
        self.running.borrow().is_some()
    }

    /// The replica begins to answer.
    pub fn on_answered(&self) {
        if let Some(permit) = &mut *self.running.borrow_mut() {
            permit.on_answered();
        }
    }

    /// In how long after the request's arrival the replica was expected to begin to answer, as far as that is known.
    pub fn expected_first_token(&self) -> Option<Duration> {
        self.running.borrow().as_ref()?.expected_first_token()
    }

    /// The replica's work has ended.
    pub fn release(&self, outcome: Outcome) {
        end(&self.running, outcome);
    }

    /// The replica has failed, and what the next one does will tell whose doing it was.
    pub fn suspend(&self) {
        let permit = self.running.borrow_mut().take();
        *self.suspended.borrow_mut() = permit.map(|mut permit| {
            permit.suspend();
            permit
        });
    }

    /// Nobody can connect to the replica, or it loads: its engine is gone, with all that it had in memory.
    pub fn on_absent(&self, is_loading: bool) {
        if let Some(permit) = &*self.running.borrow() {
            permit.on_absent(is_loading);
        }
    }

    /// It is known whose doing it was that a replica failed, if one has.
    pub fn settle_suspended(&self, outcome: Outcome) {
        end(&self.suspended, outcome);
    }

    /// The replica's stream broke off.
    pub fn on_stream_failed(&self, error: &AttemptError) {
        if let Some(permit) = &*self.running.borrow() {
            permit.on_stream_failed(error);
        }
    }

    /// Renews the permit under which a replica works, in the background. To be called every `period`. One that is
    /// suspended has nothing that could be lost.
    pub fn renew(&self, period: Duration) {
        if let Some(permit) = &*self.running.borrow() {
            permit.renew(period);
        }
    }
}

fn end<P: Platform>(slot: &RefCell<Option<Permit<P>>>, outcome: Outcome) {
    let permit = slot.borrow_mut().take();
    if let Some(permit) = permit {
        permit.end(outcome);
    }
}
