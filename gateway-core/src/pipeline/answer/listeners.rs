//! Who hears what a model says while it passes.

use super::UsageMeter;
use crate::api::{OutputDelta, Usage};
use crate::platform::Platform;

/// The listeners to one answer. Each hears all of it, piece by piece, and none of them changes it.
#[derive(Debug)]
pub(in crate::pipeline) struct Listeners<P: Platform> {
    pub meter: UsageMeter<P>,
}

impl<P: Platform> Listeners<P> {
    /// A piece of the answer says that, and reports that usage.
    pub fn on_deltas(&mut self, deltas: &[OutputDelta<'_>], usage: Option<Usage>) {
        self.meter.on_deltas(deltas);
        self.meter.on_usage(usage);
    }
}
