//! What happened, as typed events: the one output from which metrics and logs are made. No event holds a prompt, an
//! answer or a key.

mod budget_metrics;
mod budgeting;
mod by_labels;
mod counting;
mod counting_metrics;
mod event;
mod metrics;

pub use budgeting::Budgeting;
pub use counting::Counting;
pub use event::{Event, Level};
pub use metrics::{Metrics, Told};
