//! Which cluster: from where the request came in, what each cluster told of itself last, how far it is, what of the prompt
//! is warm there, and what it costs.

mod choice;
mod round_trips;

pub use choice::{Candidate, Estimate, LoadSnapshot, home, rank};
pub use round_trips::RoundTrips;
