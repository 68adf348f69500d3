//! Down the ladder: which cluster of which tier is tried next, given why the last attempt failed.

mod attempt_error;
mod descent;

pub use attempt_error::{AttemptError, Fault, Garbage, Remedy};
pub use descent::{Descent, Step};
