//! Settings, which have defaults: bounds of every loop, queue, retry and wait, and the like. As written -> validated,
//! theme by theme; and where keys stand that stood elsewhere.

mod moved;
mod validated;
pub(super) mod written;

pub(super) use moved::refuse_moved;
pub use validated::{
    Cors, Estimates, Headroom, Leases, Load, Permits, Refresh, Retries, Sessions, Sizes, Streams, Timeouts,
};

use std::time::Duration;

use super::error::Problem;
use super::media::{self, MediaUrls};
use super::origin;
use super::read::value;
use super::report::{At, Report};
use super::written::Root;
use crate::cluster::BreakerPolicy;

/// Reports times that must be less than others and are not.
pub(super) fn check_order(root: &Root, report: &mut Report) {
    let Some(timeouts) = value(&root.timeouts) else {
        return;
    };
    let deadline = ("timeouts.deadline_ms", &timeouts.deadline_ms);
    less(("timeouts.first_byte_ms", &timeouts.first_byte_ms), deadline, report);
    if let Some(streams) = value(&root.streams) {
        let between_bytes = ("timeouts.between_bytes_ms", &timeouts.between_bytes_ms);
        less(("streams.heartbeat_ms", &streams.heartbeat_ms), between_bytes, report);
    }
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
    let is_later = report.written_line(short.place) > report.written_line(long.place);
    let place = if is_later { short.place } else { long.place };
    report.add(
        place,
        problem,
        format!("expected a shorter {shorter} or a longer {longer}"),
    );
}

/// `[sizes]`, or `None` when a key of it is wrong, which is then in the report; so in those below.
pub(super) fn sizes(root: &Root) -> Option<Sizes> {
    let written = value(&root.sizes)?;
    Some(Sizes {
        request_body_bytes: *value(&written.request_body_bytes)?,
        response_body_bytes: *value(&written.response_body_bytes)?,
        event_bytes: *value(&written.event_bytes)?,
        nesting: *value(&written.nesting)?,
    })
}

/// `[timeouts]`.
pub(super) fn timeouts(root: &Root) -> Option<Timeouts> {
    let written = value(&root.timeouts)?;
    Some(Timeouts {
        request_body: *value(&written.request_body_ms)?,
        connect: *value(&written.connect_ms)?,
        first_byte: *value(&written.first_byte_ms)?,
        whole_answer: *value(&written.whole_answer_ms)?,
        between_bytes: *value(&written.between_bytes_ms)?,
        deadline: *value(&written.deadline_ms)?,
        cells: *value(&written.cells_ms)?,
    })
}

/// `[retries]`.
pub(super) fn retries(root: &Root) -> Option<Retries> {
    let attempts = *value(&value(&root.retries)?.attempts)?;
    Some(Retries { attempts })
}

/// `[streams]`.
pub(super) fn streams(root: &Root) -> Option<Streams> {
    let written = value(&root.streams)?;
    Some(Streams {
        early_commit: *value(&written.early_commit_ms)?,
        heartbeat: *value(&written.heartbeat_ms)?,
    })
}

/// `[estimates]`.
pub(super) fn estimates(root: &Root) -> Option<Estimates> {
    let output = *value(&value(&root.estimates)?.output_tokens)?;
    Some(Estimates { output })
}

/// `[permits]`.
pub(super) fn permits(root: &Root) -> Option<Permits> {
    let ttl = *value(&value(&root.permits)?.ttl_ms)?;
    Some(Permits { ttl })
}

/// `[load]`.
pub(super) fn load(root: &Root) -> Option<Load> {
    let ttl = *value(&value(&root.load)?.ttl_ms)?;
    Some(Load { ttl })
}

/// `[breaker]`.
pub(super) fn breaker(root: &Root) -> Option<BreakerPolicy> {
    let written = value(&root.breaker)?;
    Some(BreakerPolicy {
        failures: *value(&written.failures)?,
        open: *value(&written.open_ms)?,
    })
}

/// `[leases]`.
pub(super) fn leases(root: &Root) -> Option<Leases> {
    let ttl = *value(&value(&root.leases)?.ttl_ms)?;
    Some(Leases { ttl })
}

/// `[headroom]`.
pub(super) fn headroom(root: &Root) -> Option<Headroom> {
    let written = value(&root.headroom)?;
    Some(Headroom {
        for_high_percent: *value(&written.for_high_percent)?,
        for_normal_percent: *value(&written.for_normal_percent)?,
    })
}

/// `[cors]`.
pub(super) fn cors(root: &Root) -> Option<Cors> {
    let listed = value(&value(&root.cors)?.allow_origins)?.as_ref();
    let origins: Option<Vec<String>> = listed.map(|origins| origins.iter().map(|at| at.value.clone()).collect());
    Some(Cors {
        allow_origins: origins.filter(|origins| origins.iter().all(|origin| origin != origin::ANY)),
    })
}

/// `[sessions]`.
pub(super) fn sessions(root: &Root) -> Option<Sessions> {
    let listed = value(&value(&root.sessions)?.headers)?.as_ref();
    let headers = listed.map(|headers| headers.iter().map(|at| at.value.clone()).collect());
    Some(Sessions {
        headers: headers.unwrap_or_else(|| SESSION_HEADERS.map(str::to_owned).to_vec()),
    })
}

/// `[media]`.
pub(super) fn media(root: &Root) -> Option<MediaUrls> {
    let listed = value(&value(&root.media)?.urls)?.as_ref();
    let urls = listed.map(|urls| urls.iter().map(|at| at.value.clone()).collect());
    Some(MediaUrls::new(urls.unwrap_or_else(|| vec![media::DEFAULT.to_owned()])))
}

/// `[refresh]`.
pub(super) fn refresh(root: &Root) -> Option<Refresh> {
    let written = value(&root.refresh)?;
    Some(Refresh {
        config: *value(&written.config_ms)?,
        bundled_until_read: *value(&written.bundled_until_read)?,
    })
}

/// The common one, and what the coding agent Codex has sent: `session-id` since 2026, `session_id` before.
const SESSION_HEADERS: [&str; 3] = ["x-session-id", "session-id", "session_id"];
