//! Budgets as they are used: the lease cache by itself, in random histories, and fleets of whole gateways in the virtual
//! world, with one cell and a network that loses, delays and doubles messages. Every run is the same for its seed.

mod asking;
mod audit;
mod clocks;
mod config;
mod crowd;
mod debt;
mod engine;
mod fleet;
mod properties;
mod scenarios;
mod window;
mod world;
