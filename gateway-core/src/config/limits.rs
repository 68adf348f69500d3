//! The bounds: from what is written, or from their defaults, which the as-written form declares.

use std::time::Duration;

use super::error::Problem;
use super::read::{Kind, value};
use super::report::{At, Place, Report};
use super::validated::Limits;
use super::written;

impl Default for Limits {
    /// What holds when the configuration says nothing.
    fn default() -> Self {
        let report = &mut Report::new("");
        let defaults = written::Limits::absent(Place::TEXT, report);
        let limits = defaults.and_then(|defaults| check(&defaults, report));
        limits.expect("every limit has a default")
    }
}

/// The limits, or `None` when one is wrong, which is then in the report.
pub(super) fn check(written: &written::Limits, report: &mut Report) -> Option<Limits> {
    less(
        ("heartbeat_ms", &written.heartbeat_ms),
        ("between_bytes_ms", &written.between_bytes_ms),
        report,
    );
    less(
        ("first_byte_ms", &written.first_byte_ms),
        ("deadline_ms", &written.deadline_ms),
        report,
    );
    Some(Limits {
        request_body_bytes: *value(&written.request_body_bytes)?,
        response_body_bytes: *value(&written.response_body_bytes)?,
        event_bytes: *value(&written.event_bytes)?,
        nesting: *value(&written.nesting)?,
        request_body: *value(&written.request_body_ms)?,
        connect: *value(&written.connect_ms)?,
        first_byte: *value(&written.first_byte_ms)?,
        whole_answer: *value(&written.whole_answer_ms)?,
        between_bytes: *value(&written.between_bytes_ms)?,
        deadline: *value(&written.deadline_ms)?,
        attempts: *value(&written.attempts)?,
        early_commit: *value(&written.early_commit_ms)?,
        heartbeat: *value(&written.heartbeat_ms)?,
        permit_ttl: *value(&written.permit_ttl_ms)?,
        load_ttl: *value(&written.load_ttl_ms)?,
        breaker_failures: *value(&written.breaker_failures)?,
        breaker_open: *value(&written.breaker_open_ms)?,
        expected_output: *value(&written.expected_output)?,
        lease_ttl: *value(&written.lease_ttl_ms)?,
        kept_for_high_percent: *value(&written.kept_for_high_percent)?,
        kept_from_low_percent: *value(&written.kept_from_low_percent)?,
        config_refresh: *value(&written.config_refresh_ms)?,
    })
}

type Time<'w> = (&'static str, &'w Option<At<Duration>>);

/// Reports when `shorter` is not less than `longer`, at the one that is written, or written last.
fn less((shorter, short): Time<'_>, (longer, long): Time<'_>, report: &mut Report) {
    let (Some(short), Some(long)) = (short, long) else {
        return;
    };
    if short.value < long.value {
        return;
    }
    let problem = Problem::NotLess {
        shorter,
        short_ms: short.value.as_millis(),
        longer,
        long_ms: long.value.as_millis(),
    };
    let is_later = report.line(short.place) > report.line(long.place);
    let place = if is_later { short.place } else { long.place };
    report.add(
        place,
        problem,
        format!("expected a shorter {shorter} or a longer {longer}"),
    );
}
