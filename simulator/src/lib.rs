//! A vLLM-like engine without a GPU: the same API, the same metrics, and the time it would have taken.
//!
//! * [`engine`]: what a replica does with its tokens and its `kv_cache`. Pure: time is an argument, there is no I/O.
//! * [`language`]: what the model "says": tokens, chat template, text, tool calls, embeddings. Pure, and a function of
//!   a seed and the request, so that two replicas with the same seed give the same answer.
//! * [`server`]: both behind HTTP, driven in real time, with faults that tests switch on.

pub mod engine;
pub mod language;
pub mod server;

pub use engine::profile::Profile;
pub use language::tokenizer::{TokenizerError, TokenizerFiles};
pub use server::options::EngineOptions;
pub use server::{ServeError, Server, bind, serve};
