//! What happened, as typed events: the one output from which metrics and logs are made. No event holds a prompt, an
//! answer or a key.

mod counting;
mod counting_metrics;
mod event;
mod metrics;

pub use counting::Counting;
pub use event::{Event, Level};
pub use metrics::Metrics;
