//! The response cache: which requests use it, under which key an answer is kept, how it is written down, and what is
//! remembered of answers here. All of it is decided from arguments; nothing is read or written.

mod canonical;
mod entry;
mod flight_cell;
mod flights;
mod key;
mod memory;
mod policy;
mod purges;
mod status;

pub use entry::{Entry, Freshness};
pub use flight_cell::{
    AskerId, EndFlight, EntryBytes, FlightCell, FlightCommand, FlightEnding, FlightReply, FlightStanding, ForgetFlight,
    JoinFlight,
};
pub use flights::{Ending, Flights, Joined, Seen, Ticket};
pub use key::{CacheKey, TenantScope};
pub use memory::EntryMemory;
pub use policy::{CacheWish, Use, use_of};
pub use purges::{PurgeMemory, PurgeScope};
pub use status::CacheStatus;
