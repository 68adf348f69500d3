//! What an engine sends, read, rewritten and metered.

mod chunks;
mod meter;

pub(super) use chunks::Chunks;
pub(super) use meter::{UsageMeter, output, tokenizer};
