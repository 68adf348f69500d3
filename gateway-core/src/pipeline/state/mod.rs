//! What a process, isolate or instance keeps between requests: data only, never I/O.

mod active_canned;
mod active_config;
mod blamed;
mod estimates;
mod gateway;
mod lease_caches;
mod looks;
mod permit_caches;
mod polls;
mod rollouts;
mod shared;
mod shutdown;
mod store_health;
mod stored_text;

pub(super) use active_canned::ActiveCanned;
pub(super) use active_config::ActiveConfig;
pub(super) use blamed::Blamed;
pub(super) use estimates::Estimates;
pub use gateway::Gateway;
pub(super) use lease_caches::{LeaseCaches, SharedLeaseCache};
pub(super) use looks::{LONGEST_LOOK, LOOKER_IS_GONE, Look};
pub(super) use permit_caches::PermitCaches;
pub(super) use polls::Polls;
pub(super) use rollouts::{Rollouts, WeightsLook};
pub(super) use shared::Shared;
pub(super) use shutdown::Shutdown;
pub(super) use store_health::StoreHealth;
