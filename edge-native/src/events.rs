//! The core's events as log lines: what failed, and which configuration is in force. The course of every request is
//! told only to those who ask for it (level debug); it is in the metrics for all others.

use tidegate_core::observe::{Event, Level, Record, Sink};
use tracing::{debug, info, warn};

use crate::clock::now;
use crate::line_rate::{Admission, LineRate};

/// The log, as the core tells it events. Which levels are written, the log's own settings say.
pub fn sink() -> Sink {
    Sink::new(Level::Debug, |record| match record.event.level() {
        Level::Warn => log_warning(record),
        Level::Info => info!("{record}"),
        Level::Debug => debug!("{record}"),
    })
}

/// An engine that is down fails every attempt: beyond a bound such lines tell nothing new, and writing them would
/// hold up the requests that still go well.
fn log_warning(record: &Record<'_>) {
    if let Event::AdminChange(_) = record.event {
        // What operators change is told, however much else is.
        warn!("{record}");
        return;
    }
    match WARNINGS.admit(now().as_secs()) {
        Admission::Admitted { left_out: 0 } => warn!("{record}"),
        Admission::Admitted { left_out } => warn!(left_out, "{record}"),
        Admission::LeftOut => {}
    }
}

static WARNINGS: LineRate = LineRate::new(MAX_WARNINGS_PER_SECOND);

/// Lines about failures in one second.
const MAX_WARNINGS_PER_SECOND: u64 = 50;
