//! The core's events as log lines: what failed, and which configuration is in force. The course of every request is
//! told only to those who ask for it (level debug); it is in the metrics for all others.

use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_core::observe::{Level, Record, Sink};
use tracing::{debug, info, warn};

use crate::clock::now;

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
    match WARNINGS.admit(now().as_secs()) {
        Admission::Admitted { left_out: 0 } => warn!("{record}"),
        Admission::Admitted { left_out } => warn!(left_out, "{record}"),
        Admission::LeftOut => {}
    }
}

static WARNINGS: PerSecond = PerSecond::new();

/// Admits so many lines in each second, and counts those it leaves out.
#[derive(Debug)]
struct PerSecond {
    second: AtomicU64,
    seen: AtomicU64,
}

#[derive(Debug, PartialEq, Eq)]
enum Admission {
    /// With how many were left out since the line before.
    Admitted {
        left_out: u64,
    },
    LeftOut,
}

impl PerSecond {
    const fn new() -> Self {
        Self {
            second: AtomicU64::new(0),
            seen: AtomicU64::new(0),
        }
    }

    /// Threads that race at the turn of a second may admit a few more; the count is for reading.
    fn admit(&self, second: u64) -> Admission {
        if self.second.swap(second, Ordering::Relaxed) != second {
            let seen = self.seen.swap(1, Ordering::Relaxed);
            return Admission::Admitted {
                left_out: seen.saturating_sub(MAX_WARNINGS_PER_SECOND),
            };
        }
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        if seen < MAX_WARNINGS_PER_SECOND {
            Admission::Admitted { left_out: 0 }
        } else {
            Admission::LeftOut
        }
    }
}

/// Lines about failures in one second.
const MAX_WARNINGS_PER_SECOND: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let lines = PerSecond::new();
        for _ in 0..MAX_WARNINGS_PER_SECOND {
            assert_eq!(lines.admit(7), Admission::Admitted { left_out: 0 });
        }
        assert_eq!(lines.admit(7), Admission::LeftOut);
        assert_eq!(lines.admit(7), Admission::LeftOut);
        assert_eq!(lines.admit(8), Admission::Admitted { left_out: 2 });
        assert_eq!(lines.admit(8), Admission::Admitted { left_out: 0 });
        assert_eq!(lines.admit(9), Admission::Admitted { left_out: 0 });
    }
}
