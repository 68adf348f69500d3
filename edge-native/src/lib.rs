//! The gateway as a process of its own, on Unix: it implements the core's [`Platform`](tidegate_core::platform::Platform)
//! with hyper, tokio, rustls and an embedded store, and decides nothing.
//!
//! One thread per core, each with its own runtime, listening socket and connections to engines, so that a request
//! stays on the thread that accepted it. Threads share the gateway, the store and the cells.

mod cells;
mod chores;
mod client;
mod config_file;
#[cfg(feature = "conformance")]
mod conformance;
mod connection;
mod events;
mod http;
mod listener;
mod platform;
mod random;
mod secrets;
mod server;
mod service;
mod shutdown;
mod store;
mod tables;
mod tasks;
mod tls;
mod worker;

pub use server::{ServeError, ServeOptions, Server};
pub use shutdown::Ending;
pub use store::StoreOpenError;
pub use tables::{TablesError, beside, read as read_tables};
pub use tls::{TlsError, TlsFiles};
