//! The client's answer, from the first wait to the end.

mod relay;
mod stream;

pub(super) use relay::Relay;
pub(super) use stream::{answered, committed};
