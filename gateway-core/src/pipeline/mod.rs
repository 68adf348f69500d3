//! One request's way: the only asynchronous code of the core, and the only code that names
//! [`Platform`](crate::platform::Platform).
//!
//! Rooms stand here from the top down; each knows only those below it:
//!
//! - `serve.rs`: where a request enters and its response leaves, and where the paths part.
//! - `endpoints/`: what each path does; `generate.rs` is the way of a request to an engine, on one screen.
//! - `delivery/`: the client's stream, from the first wait to the end.
//! - `dispatch/`: the walk down the ladder, and each attempt at a replica.
//! - `answer/`: what an engine sends, read, rewritten and metered.
//! - `intake/`: what a request is, takes and may spend, until it can be dispatched.
//! - `canned.rs`: the texts that may stand for an answer that no engine gives.
//! - `leases/`: what a request holds of its tenant's budgets.
//! - `response_cache/`: which answers a request finds, and what becomes of its own.
//! - `rollouts/`: which weights the versions of a model have, and what a request meets at its version.
//! - `maintain/`: what goes on behind requests' backs.
//! - `hops/`: what two hops of a request's way tell each other.
//! - `cors.rs`: which web pages may ask, and read what is answered.
//! - `entrance.rs`: by which address a request came in, and what is answered there.
//! - `body_memory.rs`: how much of requests may be in memory before they are admitted.
//! - `records.rs`: which records of requests are kept, and where they are found.
//! - `context.rs`: what every stage may look at.
//! - `state/`: what is kept between requests.

mod answer;
mod body;
mod body_memory;
mod canned;
mod cell_time;
mod collect;
mod context;
mod cors;
mod delivery;
mod detected;
mod dispatch;
mod endpoints;
mod entrance;
mod failure;
mod hops;
mod intake;
mod leases;
mod maintain;
mod recorder;
mod records;
mod response;
mod response_cache;
mod rollouts;
mod serve;
mod state;
mod warmth;

pub use body::{Body, BrokenOff};
pub use entrance::Entrance;
pub use state::Gateway;
