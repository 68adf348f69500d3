//! What two hops tell each other of an order: what the edge says of it, what the region says of how it carries it out, and why
//! it could not. Versions may differ by one release either way: what is not there has a default, what is not known is passed
//! over.

mod facts;
mod failed;
mod refused;
mod told;

pub(super) use facts::OrderFacts;
pub(super) use failed::HopFailure;
pub use refused::OrderRefused;
pub(super) use told::{Told, ToldVisit};
