//! What happened, as typed events: the one output from which metrics and logs are made. No event holds a prompt, an
//! answer or a key. Metrics are folded from the events alone; a sink has them with their moments and requests.

mod admin_change;
mod budget_metrics;
mod budgeting;
mod by_labels;
mod cache_metrics;
mod caching;
mod canned_metrics;
mod canning;
mod cluster_metrics;
mod counting;
mod counting_metrics;
mod detecting;
mod detection_metrics;
mod event;
mod ignored_signal;
mod labels;
mod metrics;
mod particulars;
mod prefix_metrics;
mod prefixing;
mod queue_metrics;
mod record;
mod rolling_out;
mod rollout_metrics;
mod scale_metrics;
mod signal_metrics;
mod weighing;

pub use admin_change::AdminChange;
pub use budgeting::Budgeting;
pub use caching::Caching;
pub use canning::Canning;
pub use counting::Counting;
pub use detecting::Detecting;
pub use event::{Event, Level, StoreAccess};
pub use ignored_signal::IgnoredSignal;
pub use metrics::{CellFigures, Metrics};
pub use prefixing::Prefixing;
pub use record::{Record, Sink};
pub use rolling_out::RollingOut;
pub use weighing::Weighing;
