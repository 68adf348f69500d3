//! What a request holds of its tenant's budgets, and the way to their cells.

mod client;
mod reservation;

pub(super) use client::{Claim, LeaseClient, Likely, address};
pub(super) use reservation::{Owed, Reservation};
