//! Down the ladder: which cluster of which tier is tried next, given why the last attempt failed, and whether the
//! request itself makes engines fail.

mod attempt_error;
mod blame;
mod blamed_requests;
mod canned_reason;
mod descent;
mod hop_error;
mod telling;
mod version_fault;

pub use attempt_error::{AttemptError, Fault, Garbage, Remedy};
pub use blame::{Blame, Verdict};
pub use blamed_requests::{BlamedRequests, RequestDigest};
pub use canned_reason::canned_reason;
pub use descent::{Descent, Step, WaitsFor};
pub use hop_error::HopError;
pub use telling::more_telling;
pub use version_fault::version_fault;
