//! Who hears what a model says, from the first piece of an answer to its end.

use std::rc::Rc;

use super::UsageMeter;
use crate::api::{OutputDelta, RewrittenAnswer, SseEvent, Usage};
use crate::pipeline::intake::{Order, Target};
use crate::pipeline::response_cache::Recording;
use crate::platform::Platform;

/// The listeners to one answer. Each hears all of it, and none of them changes it.
#[derive(Debug)]
pub(in crate::pipeline) struct Listeners<P: Platform> {
    meter: UsageMeter<P>,
    /// Where the answer is to be kept.
    recording: Option<Recording<P>>,
}

impl<P: Platform> Listeners<P> {
    /// Those to an answer from that target, of which nothing has passed yet.
    pub fn new(order: &Rc<Order<P>>, target: &Target<'_>) -> Self {
        Self {
            meter: UsageMeter::new(order, target),
            recording: recording(order, target),
        }
    }

    /// An event of the answer, as its engine sent it.
    pub fn on_event(&mut self, event: &SseEvent<'_>) {
        if let Some(recording) = &mut self.recording {
            recording.on_event(event);
        }
    }

    /// An event of the answer says that, and reports that usage.
    pub fn on_deltas(&mut self, deltas: &[OutputDelta<'_>], usage: Option<Usage>) {
        self.meter.on_event(deltas);
        self.meter.on_usage(usage);
    }

    /// The answer is here as a whole.
    pub fn on_whole(&mut self, answer: &RewrittenAnswer<'_>) {
        self.meter.on_whole(&answer.deltas, answer.usage);
    }

    /// A whole answer has passed to its end.
    pub fn on_whole_passed(&self) {
        self.meter.on_whole_passed();
    }

    /// A piece of the answer, with all of its events, has passed.
    pub fn on_piece(&self) {
        self.meter.on_piece();
    }

    /// The answer has ended: as a whole, or it broke off, or its client left.
    pub fn on_end(&self, is_whole: bool) {
        self.meter.close(is_whole);
        if let Some(recording) = self.recording.as_ref().filter(|_| is_whole) {
            recording.on_end();
        }
    }
}

/// The recording of an answer that passes as a stream, where the model that was asked for gives it.
fn recording<P: Platform>(order: &Rc<Order<P>>, target: &Target<'_>) -> Option<Recording<P>> {
    let Order { request, .. } = &**order;
    let caching = order.caching.as_ref().filter(|_| request.stream && target.tier == 0)?;
    let budgeted = request.budgeted(target.serving.cluster.engine, &order.output_limit(target.count));
    Some(Recording::new(caching, request, budgeted.is_some()))
}
