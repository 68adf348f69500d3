//! A world in virtual time: it implements the core's [`Platform`](tidegate_core::platform::Platform), decides nothing
//! about requests, and is the same for the same seed. Tests and simulations run the shipped core in it.
//!
//! A [`World`] has one thread and one clock, which moves only when nothing else can happen. In it are the cells, the
//! store, the engines, and a network that delays, loses and doubles what goes to cells. [`VirtualPlatform`] is the handle
//! of one process of one edge location, which can be killed; [`Edge`] is a gateway on one.
#![deny(missing_docs)]

mod cells;
mod clock;
mod edge;
mod engines;
mod executor;
mod link;
mod platform;
mod process;
mod random;
mod region_hops;
mod script;
mod skew;
mod state;
mod store;
mod world;

pub use cells::{CellKind, Passing, Traffic};
pub use clock::{Clock, Sleep};
pub use edge::Edge;
pub use engines::{BodyStream, Caller, EngineAnswer, Engines};
pub use link::Link;
pub use platform::VirtualPlatform;
pub use process::ProcessId;
pub use random::Random;
pub use region_hops::RegionHops;
pub use script::{Piece, Reaction, Script};
pub use skew::Skew;
pub use store::Store;
pub use world::World;
