//! What an engine sends, read, rewritten and metered.

mod chunks;
mod listeners;
mod meter;

pub(super) use chunks::Chunks;
pub(super) use listeners::Listeners;
pub(super) use meter::{UsageMeter, tokenizer};
