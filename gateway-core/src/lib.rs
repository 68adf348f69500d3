//! Tidegate's core: everything that the gateway decides, the same on every runtime. Modules stand from the bottom up, each
//! knowing only those before it; docs/architecture.md follows one request through the files.
#![deny(missing_docs)]

mod excerpt;
pub mod geo;
pub mod ids;
pub mod language;
mod parts;
mod share;
pub mod sleeps;
pub mod time;

pub mod budget;
pub mod cluster;
pub mod detect;
pub mod hop;
pub mod pace;
pub mod rollout;
pub mod timeline;

pub mod config;
pub mod route;

pub mod api;
pub mod signals;

pub mod auth;
pub mod cache;
pub mod prefix;
pub mod tokens;

pub mod cells;

pub mod platform;

pub mod ladder;

pub mod observe;

pub mod explain;

pub mod pipeline;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use pipeline::{Body, BrokenOff, Entrance, Gateway};
