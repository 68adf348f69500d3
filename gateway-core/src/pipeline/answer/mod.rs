//! What an engine sends, read, rewritten, metered and, where its client wants it whole, put together.

mod assembly;
mod chunks;
mod detection;
mod listeners;
mod meter;
mod passing;
mod whole;

pub(super) use assembly::assembled;
pub(super) use chunks::Chunks;
use detection::{Detection, Ruling};
pub(super) use listeners::Listeners;
use meter::UsageMeter;
pub(super) use passing::{Begun, Passing, begin_passing};
pub(super) use whole::read_whole;
