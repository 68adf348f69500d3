//! TensorRT-LLM's `/metrics`: a JSON array with the statistics of each step since somebody asked last
//! (`tensorrt_llm/serve/openai_server.py`, `enable_iter_perf_stats`, version 1.x). The last one is the newest. An engine that
//! has done nothing since has an empty array, which says nothing.

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::claims::{Claim, Claims};

/// What the page says; `None` where it is not such a page.
pub(super) fn claims(page: &[u8]) -> Option<Claims> {
    let Last(last) = serde_json::from_slice(page).ok()?;
    let mut claims = Claims::default();
    let Some(step) = last else { return Some(claims) };
    claims.running.plus_told(step.num_active_requests);
    claims.waiting.plus_told(step.num_queued_requests);
    if let Some(Cache {
        used_num_blocks: Some(used),
        max_num_blocks: Some(most),
    }) = step.kv_cache_stats
    {
        claims.kv_used.raise(used / most);
        if used > most {
            claims.kv_used = Claim::Contradictory;
        }
    }
    Some(claims)
}

/// The last step of an array, of which no other is kept.
struct Last(Option<Step>);

impl<'de> Deserialize<'de> for Last {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Steps;
        impl<'de> Visitor<'de> for Steps {
            type Value = Last;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of steps")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut steps: A) -> Result<Last, A::Error> {
                let mut last = None;
                while let Some(step) = steps.next_element()? {
                    last = Some(step);
                }
                Ok(Last(last))
            }
        }
        deserializer.deserialize_seq(Steps)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    num_active_requests: Option<f64>,
    num_queued_requests: Option<f64>,
    kv_cache_stats: Option<Cache>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cache {
    used_num_blocks: Option<f64>,
    max_num_blocks: Option<f64>,
}
