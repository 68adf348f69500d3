//! One replica: continuous batching over a bounded `kv_cache` with prefix blocks, as vLLM's scheduler does it.
//!
//! [`scheduler::Engine`] takes sequences (how many prompt tokens, how many output tokens, the hashes of their blocks)
//! and tells when each token is out. It knows nothing of text, HTTP or the clock: `now` is an argument, on whatever clock the
//! caller has, and equal calls give equal events.

pub mod blocks;
pub mod prefix;
pub mod profile;
pub mod scheduler;
pub mod sequence;
pub mod stats;
pub mod timing;
