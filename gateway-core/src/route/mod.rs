//! Which cluster: from where the request came in, what each cluster told of itself last, and how far it is.

mod choice;
mod region;

pub use choice::{Candidate, Estimate, LoadSnapshot, rank};
pub use region::{Coordinates, Location, round_trip};
