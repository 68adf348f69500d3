//! The one permit that an order holds at a time, while its walk and its delivery both look after it.

use std::cell::RefCell;
use std::time::Duration;

use super::Permit;
use crate::cluster::Outcome;
use crate::ladder::AttemptError;
use crate::platform::Platform;

/// Where an order's permit is, while a replica works on it.
#[derive(Debug)]
pub(in crate::pipeline) struct PermitSlot<P: Platform>(RefCell<Option<Permit<P>>>);

impl<P: Platform> Default for PermitSlot<P> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<P: Platform> PermitSlot<P> {
    /// A replica works on the order, under that permit.
    pub fn hold(&self, permit: Permit<P>) {
        *self.0.borrow_mut() = Some(permit);
    }

    /// The replica's work has ended.
    pub fn release(&self, outcome: Outcome) {
        let permit = self.0.borrow_mut().take();
        if let Some(permit) = permit {
            permit.end(outcome);
        }
    }

    /// The replica's stream broke off.
    pub fn on_stream_failed(&self, error: &AttemptError) {
        if let Some(permit) = &*self.0.borrow() {
            permit.on_stream_failed(error);
        }
    }

    /// Renews the permit, in the background. To be called every `period`.
    pub fn renew(&self, period: Duration) {
        if let Some(permit) = &*self.0.borrow() {
            permit.renew(period);
        }
    }
}
