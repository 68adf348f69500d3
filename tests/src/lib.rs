//! The harness of the contract suite: starts simulated engines and the gateway on the runtime under test, and asks
//! it as clients do, well-behaved and hostile.

pub mod engine;
pub mod gateway;
pub mod http;
pub mod process;
pub mod recording;
pub mod redis;
pub mod relay;
pub mod runtime;
pub mod scripted;
pub mod sse;
pub mod wait;
mod worker;
pub mod world;
