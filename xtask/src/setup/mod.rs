//! What the tasks need beyond Rust and Node, brought to where it belongs, once: each function returns when the thing
//! is there, and does nothing when it was there already.

mod apt;
mod cargo_tool;
mod corpus;
mod detector_corpus;
mod engines;
mod node;
mod python;
mod redis;
mod routers;
mod stamp;
mod tables;
mod wasm;
mod wasm_debian;

pub use apt::with_packages;
pub use cargo_tool::{CargoTool, cargo_tool};
pub use corpus::corpus;
pub use detector_corpus::detector_corpus;
pub use engines::{Engines, LLAMA_CPP_PYTHON, VLLM, engines};
pub use node::node_modules;
pub use python::python_with;
pub use redis::redis_server;
pub use routers::{Router, router};
pub use tables::{TABLE, tested_tables, token_tables, tokenizers};
pub use wasm::{WASM_TARGET, WasmToolchain, wasm_toolchain};
