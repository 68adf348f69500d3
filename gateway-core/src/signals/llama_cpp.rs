//! llama.cpp's `/metrics` (with `--metrics`) and `/slots` (`tools/server/server-context.cpp`). Only `/slots` tells what the
//! kv_cache holds, and it does not tell who waits.

use serde::Deserialize;

use super::claims::Claims;
use super::prometheus::samples;

/// What `/metrics` says.
pub(super) fn claims(page: &[u8]) -> Claims {
    let mut claims = Claims {
        tells_no_kv: true,
        ..Claims::default()
    };
    for sample in samples(page) {
        match sample.name {
            b"llamacpp:requests_processing" => claims.running.plus(sample.value),
            b"llamacpp:requests_deferred" => claims.waiting.plus(sample.value),
            _ => {}
        }
    }
    claims
}

/// What `/slots` says; `None` where it is not that.
pub(super) fn claims_of_slots(page: &[u8]) -> Option<Claims> {
    let slots: Vec<Slot> = serde_json::from_slice(page).ok()?;
    let mut claims = Claims::default();
    claims.running.plus(0.0);
    // As many run as are at work; a slot is never asked before it is free.
    claims.waiting.plus(0.0);
    let (mut used, mut room) = (0.0, 0.0);
    for slot in slots {
        room += slot.n_ctx;
        if slot.is_processing {
            claims.running.plus(1.0);
            let decoded = slot.next_token.first().and_then(|next| next.n_decoded);
            used += slot.n_prompt_tokens.unwrap_or_default() + decoded.unwrap_or_default();
        }
    }
    claims.kv_used.raise(used / room);
    Some(claims)
}

#[derive(Deserialize)]
struct Slot {
    n_ctx: f64,
    is_processing: bool,
    n_prompt_tokens: Option<f64>,
    #[serde(default)]
    next_token: Vec<NextToken>,
}

#[derive(Deserialize)]
struct NextToken {
    n_decoded: Option<f64>,
}
