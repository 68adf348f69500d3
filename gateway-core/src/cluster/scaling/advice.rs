//! How many replicas a cluster should have, from what is measured of it, what the operator says, and what was advised
//! before; with its reasons in words. Pure.
//!
//! As many as its [`Needs`] take where each is used to the target, looking ahead by a cold start; for each that is ill one
//! more. Less is advised only when less has been needed for a while, never so few that what runs would not fit into them, or
//! that those that load and drain were among those that go; and no faster than by a step a minute. The operator's bounds hold
//! before all of that.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::figures::Figures;
use super::history::History;
use super::needs::{Bottleneck, Computing, Needs};
use crate::cluster::permit::Capacity;
use crate::time::Timestamp;

/// How a cluster is scaled, as the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingPolicy {
    /// Fewest replicas.
    pub min_replicas: u32,
    /// Most replicas; at least 1, and no less than `min_replicas`.
    pub max_replicas: u32,
    /// To how much of its speed and room each replica should be used, in percent; from 1 to 100.
    pub target_percent: u8,
    /// From the advice of a replica to its first answer, as long as nothing else was learned.
    pub cold_start: Duration,
    /// How long less must have been needed before less is advised.
    pub scale_down_after: Duration,
    /// By how much an advice may rise in a minute, in percent of the least in it; 4 replicas at least.
    pub step_up_percent: u32,
    /// By how much it may fall in a minute, in percent of the most in it; 1 replica at least.
    pub step_down_percent: u32,
    /// The time to first token beyond which, at the 95th percentile, one replica more is advised than serve.
    pub ttft: Option<Duration>,
}

/// How many replicas a cluster should have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// So many.
    pub desired: u32,
    /// Why, in whole sentences.
    pub reasons: Vec<String>,
}

/// The advice at that moment, which becomes a part of the history.
pub(in crate::cluster) fn advise(
    now: Timestamp,
    (figures, capacity): (&Figures, Capacity),
    policy: &ScalingPolicy,
    history: &mut History,
) -> Advice {
    let mut reasons = Vec::new();
    let needed = needed(figures, capacity, policy, &mut reasons);
    let mut desired = history.on_needed(now, needed, policy.scale_down_after);
    if desired > needed {
        reasons.push(format!(
            "{desired} were needed within the last {} s.",
            policy.scale_down_after.as_secs()
        ));
    }
    desired = within_steps(now, desired, (figures, capacity), policy, (history, &mut reasons));
    let bounded = desired.clamp(policy.min_replicas.min(policy.max_replicas), policy.max_replicas.max(1));
    if bounded > desired {
        reasons.push(format!("There are to be {bounded} at least (min_replicas)."));
    } else if bounded < desired {
        reasons.push(format!("There are to be {bounded} at most (max_replicas)."));
    }
    history.on_advised(now, bounded);
    Advice {
        desired: bounded,
        reasons,
    }
}

/// What the work takes, whatever was advised before.
fn needed(figures: &Figures, capacity: Capacity, policy: &ScalingPolicy, reasons: &mut Vec<String>) -> u32 {
    let needs = Needs::of(figures, capacity);
    let percent = policy.target_percent.clamp(1, 100);
    let (replicas, bottleneck) = needs.replicas(f64::from(percent) / 100.0);
    // What is a whole number but for the last digits is one.
    let mut needed = (replicas - 1e-9).ceil().min(f64::from(u32::MAX)) as u32;
    let Computing { prompts, answers } = needs.computing;
    reasons.push(match bottleneck {
        Bottleneck::Computing => format!(
            "Prompts take the time of {prompts:.2} replicas and answers that of {answers:.2}, so {needed} are needed at {percent}% each."
        ),
        Bottleneck::Places => format!("What runs and waits fills the places of {replicas:.2} replicas, so {needed} are needed."),
        Bottleneck::KvCache => format!(
            "Prompts and answers fill the kv_cache of {:.2} replicas, so {needed} are needed at {percent}% each.",
            needs.kv_cache
        ),
    });
    if figures.arrival_ahead.tokens_per_s > figures.arrival.tokens_per_s * NOTABLE {
        reasons.push(format!(
            "In {} s, when a replica would be there that is started now, {:.0} tokens a second are expected, and {:.0} come now.",
            figures.cold_start.as_secs(),
            figures.arrival_ahead.tokens_per_s,
            figures.arrival.tokens_per_s
        ));
    }
    if figures.waiting.requests > 0 {
        reasons.push(format!(
            "{} requests wait, the first of them for {:.1} s.",
            figures.waiting.requests,
            figures.waiting.oldest.as_secs_f64()
        ));
        needed = needed.max(1);
    } else if needed == 0 && figures.replicas.serving == 0 && figures.is_asked_for {
        reasons.push("Somebody has asked within the last minute, and none serves.".to_owned());
        needed = 1;
    }
    let late = figures.ttft_p95.filter(|_| figures.ttft_streams >= FEWEST_STREAMS);
    if let (Some(ttft), Some(most)) = (late, policy.ttft)
        && ttft > most
        && needed <= figures.replicas.serving
    {
        needed = figures.replicas.serving.saturating_add(1);
        reasons.push(format!(
            "The 95th percentile of the time to first token is {:.2} s, which is beyond {:.2} s: one more than serve.",
            ttft.as_secs_f64(),
            most.as_secs_f64()
        ));
    }
    if figures.replicas.ill > 0 && needed > 0 {
        needed = needed.saturating_add(figures.replicas.ill);
        reasons.push(format!("{} are there and do not serve.", figures.replicas.ill));
    }
    needed
}

/// No more than a step from what was advised in the last minute, and down no further than is safe.
fn within_steps(
    now: Timestamp,
    desired: u32,
    (figures, capacity): (&Figures, Capacity),
    policy: &ScalingPolicy,
    (history, reasons): (&History, &mut Vec<String>),
) -> u32 {
    let last = history.last().unwrap_or(desired);
    let (least, most) = history.advised_lately(now).unwrap_or((last, last));
    let share = |of: u32, percent: u32| {
        let share = u64::from(of) * u64::from(percent) / 100;
        u32::try_from(share).unwrap_or(u32::MAX)
    };
    let highest = least.saturating_add(share(least, policy.step_up_percent).max(LEAST_STEP_UP));
    let lowest = most.saturating_sub(share(most, policy.step_down_percent).max(1));
    let stepped = desired.clamp(lowest.min(highest), highest);
    if stepped != desired {
        reasons.push(format!(
            "An advice changes by a step a minute at most: {stepped} for now."
        ));
    }
    if stepped >= last {
        return stepped;
    }
    let occupied = occupied(figures, capacity);
    if stepped < occupied {
        let kept = occupied.min(last);
        reasons.push(format!(
            "{} load, {} drain, and what runs fills others: no fewer than {kept}.",
            figures.replicas.loading, figures.replicas.draining
        ));
        return kept;
    }
    stepped
}

/// How many replicas must not go: those that load, those that drain, and as many as what runs would fill.
fn occupied(figures: &Figures, capacity: Capacity) -> u32 {
    let by_requests = figures.running.div_ceil(capacity.requests.max(1));
    let by_tokens = figures.running_tokens.0.div_ceil(capacity.kv_tokens.0.max(1));
    let filled = by_requests.max(u32::try_from(by_tokens).unwrap_or(u32::MAX));
    let moving = figures.replicas.loading.saturating_add(figures.replicas.draining);
    filled.saturating_add(moving)
}

/// An advice may always rise by so many in a minute, as Kubernetes' own does: from nothing to more than one.
const LEAST_STEP_UP: u32 = 4;
/// What grows by less is not worth a reason.
const NOTABLE: f64 = 1.02;
/// A percentile of fewer streams says nothing.
const FEWEST_STREAMS: u64 = 20;

#[cfg(test)]
mod tests;
