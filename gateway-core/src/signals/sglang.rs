//! SGLang's `/metrics` (with `--enable-metrics`) and `/v1/loads`. Names as version 0.5 has them
//! (`python/sglang/srt/observability/metrics_collector.py`, `entrypoints/v1_loads.py`). The ranks of one tensor-parallel or
//! pipeline-parallel group say the same of the same requests: only the first of them counts; data-parallel ones add up.

use serde::Deserialize;

use super::claims::{Claim, Claims};
use super::prometheus::{Sample, samples};

/// What `/metrics` says.
pub(super) fn claims(page: &[u8]) -> Claims {
    let mut claims = Claims::default();
    for sample in samples(page).filter(is_of_first_rank) {
        let value = sample.value;
        match sample.name {
            b"sglang:num_running_reqs" => claims.running.plus(value),
            b"sglang:num_queue_reqs" => claims.waiting.plus(value),
            b"sglang:token_usage" => claims.kv_used.raise(value),
            _ => {}
        }
    }
    claims
}

fn is_of_first_rank(sample: &Sample<'_>) -> bool {
    let ranks: [&[u8]; 2] = [b"tp_rank", b"pp_rank"];
    ranks
        .iter()
        .all(|rank| sample.label(rank).is_none_or(|rank| rank == b"0"))
}

/// What `/v1/loads` says; `None` where it is not that.
pub(super) fn claims_of_loads(page: &[u8]) -> Option<Claims> {
    let loads: Loads = serde_json::from_slice(page).ok()?;
    let mut claims = Claims::default();
    for load in &loads.loads {
        claims.running.plus_told(load.num_running_reqs);
        claims.waiting.plus_told(load.num_waiting_reqs);
        if let (Some(used), Some(total)) = (load.num_used_tokens, load.max_total_num_tokens) {
            claims.kv_used.raise(used / total);
            if used > total {
                claims.kv_used = Claim::Contradictory;
            }
        }
    }
    Some(claims)
}

#[derive(Deserialize)]
struct Loads {
    loads: Vec<Load>,
}

#[derive(Deserialize)]
struct Load {
    num_running_reqs: Option<f64>,
    num_waiting_reqs: Option<f64>,
    num_used_tokens: Option<f64>,
    max_total_num_tokens: Option<f64>,
}
