//! vLLM's `/metrics`. Names as version 0.32 has them (`vllm/v1/metrics/loggers.py`); the kv_cache was called
//! `gpu_cache_usage_perc` before 0.10. An engine with data-parallel replicas has one line for each.

use super::claims::{Claim, Claims};
use super::prometheus::samples;

/// What the page says.
pub(super) fn claims(page: &[u8]) -> Claims {
    let mut claims = Claims::default();
    let (mut by_reason, mut under_old_name) = (Claim::Missing, Claim::Missing);
    for sample in samples(page) {
        let value = sample.value;
        match sample.name {
            b"vllm:num_requests_running" => claims.running.plus(value),
            b"vllm:num_requests_waiting" => claims.waiting.plus(value),
            b"vllm:num_requests_waiting_by_reason" => by_reason.plus(value),
            b"vllm:kv_cache_usage_perc" => claims.kv_used.raise(value),
            b"vllm:gpu_cache_usage_perc" => under_old_name.raise(value),
            _ => {}
        }
    }
    if by_reason.number() > claims.waiting.number() && claims.waiting.number().is_some() {
        claims.waiting = Claim::Contradictory;
    }
    match (claims.kv_used, under_old_name.number()) {
        (Claim::Missing, _) => claims.kv_used = under_old_name,
        (Claim::Said(new), Some(old)) if new != old => claims.kv_used = Claim::Contradictory,
        (Claim::Said(_) | Claim::Contradictory, _) => {}
    }
    claims
}
