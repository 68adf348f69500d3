//! Settings, which have defaults: bounds of every loop, queue, retry and wait, and the like. As written -> validated,
//! theme by theme; and where keys stand that stood elsewhere.

mod moved;
mod validated;
pub(super) mod written;

pub(super) use moved::refuse_moved;
pub use validated::{
    Cors, Estimates, Explain, Headroom, Hops, Leases, Load, Permits, Prefixes, Queue, Refresh, Retries, Routing,
    Sessions, Signals, Sizes, Streams, Timeouts,
};

use std::time::Duration;

use super::error::Problem;
use super::media::{self, MediaUrls};
use super::origin;
use super::read::{entries, value};
use super::report::{At, Place, Report};
use super::written::Root;
use crate::cluster::{BreakerPolicy, HealthPolicy};
use crate::ids::SecretName;

/// Reports times and sizes that must be less than others and are not.
pub(super) fn check_order(root: &Root, report: &mut Report) {
    if let Some(sizes) = value(&root.sizes) {
        let body = Figure::new("sizes.request_body_bytes", &sizes.request_body_bytes, |bytes| {
            *bytes as u128
        });
        let tenant = Figure::of_optional("sizes.tenant_bodies_bytes", &sizes.tenant_bodies_bytes);
        let all = Figure::of_optional("sizes.bodies_bytes", &sizes.bodies_bytes);
        for (smaller, larger) in [(body, tenant), (tenant, all), (body, all)] {
            less(smaller, larger, report);
        }
    }
    let Some(timeouts) = value(&root.timeouts) else {
        return;
    };
    let time = |key, at| Figure::new(key, at, Duration::as_millis);
    let deadline = time("timeouts.deadline_ms", &timeouts.deadline_ms);
    less(
        time("timeouts.first_byte_ms", &timeouts.first_byte_ms),
        deadline,
        report,
    );
    if let Some(signals) = value(&root.signals) {
        let ttl = signals.ttl_ms.as_ref();
        let ttl = ttl.and_then(|at| Some((at.place, at.value?.as_millis())));
        let ttl = Figure {
            key: "signals.ttl_ms",
            value: ttl,
        };
        less(time("signals.every_ms", &signals.every_ms), ttl, report);
    }
    if let Some(streams) = value(&root.streams) {
        let between_bytes = time("timeouts.between_bytes_ms", &timeouts.between_bytes_ms);
        less(
            time("streams.heartbeat_ms", &streams.heartbeat_ms),
            between_bytes,
            report,
        );
    }
}

/// A key and its value, in milliseconds or bytes, where it is right.
#[derive(Clone, Copy)]
struct Figure {
    key: &'static str,
    value: Option<(Place, u128)>,
}

impl Figure {
    fn new<T>(key: &'static str, at: &Option<At<T>>, value: impl FnOnce(&T) -> u128) -> Self {
        let value = at.as_ref().map(|at| (at.place, value(&at.value)));
        Self { key, value }
    }

    fn of_optional(key: &'static str, at: &Option<At<Option<usize>>>) -> Self {
        let value = at.as_ref().and_then(|at| Some((at.place, at.value? as u128)));
        Self { key, value }
    }
}

/// Reports when `smaller` is not less than `larger`, at the one that is written, or written last.
fn less(smaller: Figure, larger: Figure, report: &mut Report) {
    let (Some((small_at, small)), Some((large_at, large))) = (smaller.value, larger.value) else {
        return;
    };
    if small < large {
        return;
    }
    let (smaller, larger) = (smaller.key, larger.key);
    let problem = Problem::NotLess {
        smaller,
        small,
        larger,
        large,
    };
    let is_later = report.written_line(small_at) > report.written_line(large_at);
    let place = if is_later { small_at } else { large_at };
    report.add(
        place,
        problem,
        format!("expected a lower {smaller} or a higher {larger}"),
    );
}

/// `[sizes]`, or `None` when a key of it is wrong, which is then in the report; so in those below.
pub(super) fn sizes(root: &Root) -> Option<Sizes> {
    let written = value(&root.sizes)?;
    let request_body_bytes = *value(&written.request_body_bytes)?;
    let all = *value(&written.bodies_bytes)?;
    let of_tenant = value(&written.tenant_bodies_bytes)?.unwrap_or_else(|| {
        let wanted = TENANT_BODIES_BYTES.max(2 * request_body_bytes);
        wanted
            .min(all.map_or(usize::MAX, |all| all / 2))
            .max(request_body_bytes)
    });
    Some(Sizes {
        request_body_bytes,
        bodies_bytes: all.unwrap_or_else(|| BODIES_BYTES.max(2 * of_tenant)),
        tenant_bodies_bytes: of_tenant,
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
    let written = value(&root.estimates)?;
    Some(Estimates {
        output: *value(&written.output_tokens)?,
        output_multiple: *value(&written.output_multiple)?,
    })
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

/// `[routing]`.
pub(super) fn routing(root: &Root) -> Option<Routing> {
    let written = value(&root.routing)?;
    Some(Routing {
        warm_penalty: *value(&written.warm_penalty_ms)?,
        most_queued: *value(&written.queued_prefill_ms)?,
        price_weight: *value(&written.price_weight_ms)?,
        location_headers: entries(&written.location_headers)
            .iter()
            .map(|at| at.value.clone())
            .collect(),
    })
}

/// `[breaker]`.
pub(super) fn breaker(root: &Root) -> Option<BreakerPolicy> {
    let written = value(&root.breaker)?;
    Some(BreakerPolicy {
        failures: *value(&written.failures)?,
        open: *value(&written.open_ms)?,
    })
}

/// `[health]`, and how long breakers stay open.
pub(super) fn health(root: &Root) -> Option<HealthPolicy> {
    let written = value(&root.health)?;
    Some(HealthPolicy {
        wedged_after: *value(&written.wedged_ms)?,
        slow_start: *value(&written.slow_start_ms)?,
        open: breaker(root)?.open,
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

/// `[queue]`.
pub(super) fn queue(root: &Root) -> Option<Queue> {
    let written = value(&root.queue)?;
    Some(Queue {
        requests: *value(&written.requests)?,
        bytes: *value(&written.bytes)?,
        wait: *value(&written.wait_ms)?,
        hold: *value(&written.hold_ms)?,
    })
}

/// `[signals]`.
pub(super) fn signals(root: &Root) -> Option<Signals> {
    let written = value(&root.signals)?;
    let every = *value(&written.every_ms)?;
    Some(Signals {
        enabled: *value(&written.enabled)?,
        every,
        ttl: value(&written.ttl_ms)?.unwrap_or(every * SIGNALS_BELIEVED_FOR),
        timeout: *value(&written.timeout_ms)?,
        page_bytes: *value(&written.page_bytes)?,
    })
}

/// `[explain]`.
pub(super) fn explain(root: &Root) -> Option<Explain> {
    let written = value(&root.explain)?;
    Some(Explain {
        kept_requests: *value(&written.kept_requests)?,
        kept_bytes: *value(&written.kept_bytes)?,
        stored: *value(&written.stored_ms)?,
    })
}

/// `[cors]`.
pub(super) fn cors(root: &Root) -> Option<Cors> {
    let origins = texts(&value(&root.cors)?.allow_origins)?;
    Some(Cors {
        allow_origins: origins.filter(|origins| origins.iter().all(|origin| origin != origin::ANY)),
    })
}

/// `[hops]`.
pub(super) fn hops(root: &Root) -> Option<Hops> {
    let keys = entries(&value(&root.hops)?.keys).iter();
    Some(Hops {
        keys: keys.map(|key| SecretName::from(key.value.as_str())).collect(),
    })
}

/// Reports a region hop that nobody could sign for.
pub(super) fn check_hops(root: &Root, report: &mut Report) {
    let has_keys = hops(root).is_none_or(|hops| !hops.keys.is_empty());
    let hops = entries(&root.regions)
        .iter()
        .filter_map(|region| region.value.hop.as_ref());
    let hops = hops.filter(|hop| hop.value.is_some() && !has_keys);
    hops.for_each(|hop| {
        report.add(
            hop.place,
            Problem::Unsigned,
            "expected the name of a secret in hops.keys",
        )
    });
}

/// `[sessions]`.
pub(super) fn sessions(root: &Root) -> Option<Sessions> {
    let listed = texts(&value(&root.sessions)?.headers)?;
    Some(Sessions {
        headers: listed.unwrap_or_else(|| SESSION_HEADERS.map(str::to_owned).to_vec()),
    })
}

/// `[prefixes]`.
pub(super) fn prefixes(root: &Root) -> Option<Prefixes> {
    let written = value(&root.prefixes)?;
    Some(Prefixes {
        index: *value(&written.index)?,
        wait: *value(&written.index_wait_ms)?,
        least: *value(&written.index_min_tokens)?,
        ttl: *value(&written.index_ttl_ms)?,
    })
}

/// `[media]`.
pub(super) fn media(root: &Root) -> Option<MediaUrls> {
    let listed = texts(&value(&root.media)?.urls)?;
    Some(MediaUrls::new(
        listed.unwrap_or_else(|| vec![media::DEFAULT.to_owned()]),
    ))
}

/// A list that may be left out; `None` when it is wrong.
fn texts(list: &Option<At<Option<Vec<At<String>>>>>) -> Option<Option<Vec<String>>> {
    let listed = value(list)?.as_ref();
    Some(listed.map(|texts| texts.iter().map(|at| at.value.clone()).collect()))
}

/// `[refresh]`.
pub(super) fn refresh(root: &Root) -> Option<Refresh> {
    let written = value(&root.refresh)?;
    Some(Refresh {
        config: *value(&written.config_ms)?,
        bundled_until_read: *value(&written.bundled_until_read)?,
    })
}

/// So many times as long as it takes to ask again: one that was missed, and one that came late.
const SIGNALS_BELIEVED_FOR: u32 = 3;
/// The common one, and what the coding agent Codex has sent: `session-id` since 2026, `session_id` before.
const SESSION_HEADERS: [&str; 3] = ["x-session-id", "session-id", "session_id"];
/// For an isolate of 128 MB, in which each body is there twice while it is decoded.
const BODIES_BYTES: usize = 64 << 20;
const TENANT_BODIES_BYTES: usize = 32 << 20;
