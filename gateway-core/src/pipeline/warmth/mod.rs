//! Where a request's prompt is warm: what the index of prefixes says of it, how that is put together with what is known of
//! the prompt, and what the index is told once a replica has served it. Where the request goes is not decided here.

mod began;
mod identity;
mod lookup;
mod record;

pub(super) use began::{replica_of_first_turn, write_first_turn};
pub(super) use identity::{Destination, Identity, Prospect, Visit};
