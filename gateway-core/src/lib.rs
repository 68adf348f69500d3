//! Tidegate's core: everything that the gateway decides, the same on every runtime. Modules stand in the order in
//! which a request meets them; docs/architecture.md follows one request through the files.
#![deny(missing_docs)]

pub mod geo;
pub mod ids;
pub mod platform;
pub mod sleeps;
pub mod time;

pub mod config;

pub mod api;
pub mod auth;
pub mod tokens;

pub mod budget;

pub mod prefix;

pub mod route;

pub mod cells;
pub mod cluster;

pub mod ladder;

pub mod observe;

pub mod pipeline;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use pipeline::{Body, Gateway};
