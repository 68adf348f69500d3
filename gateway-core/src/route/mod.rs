//! Which cluster: from where the request came in, what each cluster told of itself last, and how far it is.

mod choice;

pub use choice::{Candidate, Estimate, LoadSnapshot, rank};
