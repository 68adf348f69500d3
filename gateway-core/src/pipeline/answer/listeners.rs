//! Who hears what a model says, from the first piece of an answer to its end.

use std::rc::Rc;

use super::{Detection, Ruling, UsageMeter};
use crate::api::{EventOutcome, RewrittenAnswer, SseEvent, Usage};
use crate::config::Replica;
use crate::pipeline::intake::{Order, Target};
use crate::pipeline::response_cache::Recording;
use crate::platform::Platform;

/// The listeners to one answer. Each hears all of it, and none of them changes it.
#[derive(Debug)]
pub(in crate::pipeline) struct Listeners<P: Platform> {
    meter: UsageMeter<P>,
    /// `None` where nothing is looked for.
    detection: Option<Box<Detection<P>>>,
    /// Where the answer is to be kept.
    recording: Option<Recording<P>>,
}

impl<P: Platform> Listeners<P> {
    /// Those to an answer from that target, of which nothing has passed yet; from that replica, where it is known.
    pub fn new(order: &Rc<Order<P>>, target: &Target<'_>, replica: Option<&Replica>) -> Self {
        Self {
            meter: UsageMeter::new(order, target),
            detection: Detection::new(order, target, replica).map(Box::new),
            recording: recording(order, target),
        }
    }

    /// An event of the answer, as its engine sent it, and what it tells. Gives what is to become of the answer, where that is
    /// not to go on.
    pub fn on_event(&mut self, event: &SseEvent<'_>, told: &EventOutcome<'_>) -> Option<Ruling> {
        self.meter.on_event(&told.deltas);
        self.meter.on_usage(told.usage);
        if let Some(recording) = &mut self.recording {
            recording.on_event(event);
        }
        let detection = self.detection.as_mut()?;
        let ruling = detection.on_event(&told.deltas, &told.ended);
        if detection.has_found() {
            self.recording.take().inspect(Recording::discard);
        }
        ruling
    }

    /// So much is told of what the answer takes.
    pub fn on_usage(&mut self, usage: Option<Usage>) {
        self.meter.on_usage(usage);
    }

    /// The answer is here as a whole. Gives what is to become of it, where it is not to pass.
    pub fn on_whole(&mut self, answer: &RewrittenAnswer<'_>) -> Option<Ruling> {
        self.meter.on_whole(&answer.deltas, answer.usage);
        self.detection.as_mut()?.on_event(&answer.deltas, &answer.ended)
    }

    /// A whole answer has passed to its end.
    pub fn on_whole_passed(&self) {
        self.meter.on_whole_passed();
    }

    /// A piece of the answer, with all of its events, has passed.
    pub fn on_piece(&self) {
        self.meter.on_piece();
    }

    /// What the answer has taken so far.
    pub fn used(&self) -> Usage {
        self.meter.used()
    }

    /// How many answers were asked for.
    pub fn asked(&self) -> u64 {
        self.detection.as_ref().map_or(1, |detection| detection.asked())
    }

    /// The answer has ended: as a whole, or it was cut, or it broke off, or its client left.
    pub fn on_end(&self, is_whole: bool) {
        self.meter.close(is_whole);
        if let Some(detection) = &self.detection {
            detection.on_end(is_whole);
        }
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
