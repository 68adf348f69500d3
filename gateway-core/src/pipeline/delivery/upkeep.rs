//! What keeps an order and its client alive while an answer is waited for and passed on.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::pipeline::context::{Exchange, Paused, SHORTEST_ALARM};
use crate::pipeline::dispatch::Walk;
use crate::pipeline::records::Delivery;
use crate::platform::Platform;
use crate::time::Timestamp;

/// The walk of an order, and when something was last done for it. All that is due by time is done by one alarm.
#[derive(Debug)]
pub(super) struct Upkeep<P: Platform> {
    /// Kept to the end, with what the order holds: where an answer breaks off, it can go on from there.
    pub walk: Rc<Walk<P>>,
    /// When the client was last sent anything.
    pub last_sent: Timestamp,
    last_renewed: Timestamp,
    /// Dropped last: by then all has been told of the order.
    _delivery: Delivery<P>,
}

/// Goes off when something is due, or when the gateway stops.
pub(super) type Alarm = Pin<Box<dyn Future<Output = Paused>>>;

impl<P: Platform> Upkeep<P> {
    /// Of a walk that sets out now.
    pub fn new(walk: Walk<P>) -> Self {
        let now = walk.order.exchange.platform.now();
        let delivery = Delivery::new(&walk.order.exchange);
        Self {
            walk: Rc::new(walk),
            last_sent: now,
            last_renewed: now,
            _delivery: delivery,
        }
    }

    pub fn exchange(&self) -> &Rc<Exchange<P>> {
        &self.walk.order.exchange
    }

    pub fn now(&self) -> Timestamp {
        self.exchange().platform.now()
    }

    /// Completes at `due`, or when it is time to renew, if that is sooner.
    pub fn alarm(&self, due: Timestamp) -> Alarm {
        let renewal = self.last_renewed + self.walk.renewal_period();
        let wait = due.min(renewal).since(self.now());
        Box::pin(self.exchange().pause(wait.max(SHORTEST_ALARM)))
    }

    /// The client is sent something now.
    pub fn on_sent(&mut self) {
        self.last_sent = self.now();
    }

    /// Renews permit and reservation, where it is time.
    pub fn renew(&mut self) {
        let now = self.now();
        if now.since(self.last_renewed) >= self.walk.renewal_period() {
            self.walk.renew();
            self.last_renewed = now;
        }
    }
}
