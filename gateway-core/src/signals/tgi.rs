//! Text Generation Inference's `/metrics` (`router/src/infer/v3/queue.rs`, `backend.rs`, version 3). It does not tell its
//! kv_cache.

use super::claims::Claims;
use super::prometheus::samples;

/// What the page says.
pub(super) fn claims(page: &[u8]) -> Claims {
    let mut claims = Claims {
        tells_no_kv: true,
        ..Claims::default()
    };
    for sample in samples(page) {
        match sample.name {
            b"tgi_batch_current_size" => claims.running.plus(sample.value),
            b"tgi_queue_size" => claims.waiting.plus(sample.value),
            _ => {}
        }
    }
    claims
}
