//! The response cache in the course of a request: which answer it finds, whether it waits for that of the same request, and
//! what becomes of its own.

mod batch;
mod caching;
mod elsewhere;
mod hit;
mod lookup;
mod purge;
mod recording;

pub(super) use batch::Batch;
pub(super) use caching::Caching;
pub(super) use hit::Hit;
pub(super) use lookup::{Looked, look_up};
pub(super) use purge::{Purged, purge};
pub(super) use recording::Recording;
