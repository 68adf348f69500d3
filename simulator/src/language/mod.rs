//! What the simulated model reads and says. Pure functions of a seed and the request: no clock, no I/O.
//!
//! Two properties that tests of the gateway stand on: the same seed and request give the same answer, and an answer
//! that was cut anywhere is continued to exactly the answer that it would have been ([`prose`]).

pub mod answer;
pub mod embedding;
pub mod json;
pub mod logprobs;
pub mod prose;
pub mod random;
pub mod template;
pub mod tokenizer;
pub mod tokens;
mod words;
