//! The gateway as a process of its own, on Unix: it implements the core's [`Platform`](tidegate_core::platform::Platform)
//! with hyper, tokio, rustls, and an embedded store or Redis, and decides nothing.
//!
//! One thread per core, each with its own runtime, listening socket and connections to engines, so that a request
//! stays on the thread that accepted it. Threads share the gateway, the store and the cells; processes do where they
//! are given one Redis.

mod addresses;
mod alone;
mod cells;
mod chores;
mod client;
mod clients;
mod clock;
mod config_file;
#[cfg(feature = "conformance")]
mod conformance;
mod connection;
mod database;
mod descriptors;
#[cfg(test)]
mod disk;
mod door;
mod doors;
mod events;
mod framing;
mod http;
mod line_rate;
mod listener;
mod outbox;
mod platform;
mod random;
mod redis;
mod requests;
mod secrets;
mod server;
mod service;
mod shutdown;
mod state;
mod store;
mod tables;
mod tapped;
mod tasks;
mod tls;
mod worker;

pub use alone::explain_alone;
pub use cells::Cells;
pub use client::{Client, ClientTls, UpstreamBody};
pub use doors::MostConnections;
pub use outbox::Outbox;
pub use redis::{AddressError, Redis, RedisAddress, RedisOpenError, RedisStore};
pub use server::{Keep, ServeError, ServeOptions, Server};
pub use shutdown::Ending;
pub use store::StoreOpenError;
pub use tables::{TablesError, beside, read as read_tables};
pub use tls::{TlsError, TlsFiles};
