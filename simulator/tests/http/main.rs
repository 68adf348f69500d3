//! The simulated engine over real HTTP: every endpoint and every fault.

mod embeddings;
mod faults;
mod generate;
mod harness;
mod operator;
mod refused;
mod resume;
