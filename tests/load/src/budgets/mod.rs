//! Clients of one tenant that ask for more than its budget has, of several gateways: each sends the next request when
//! the last was answered, and waits exactly as long as a refusal tells it to.

mod client;
mod figures;

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use client::Client;
pub use figures::{Figures, Limits};

/// What to send, and for how long.
#[derive(Debug)]
pub struct BudgetLoad {
    /// Where to: client after client takes the next.
    pub to: Vec<SocketAddr>,
    /// The bearer token.
    pub key: String,
    /// Clients.
    pub clients: u32,
    /// How long.
    pub time: Duration,
    /// What the tenant may use.
    pub limits: Limits,
}

/// Sends the load, and says what became of it.
///
/// # Errors
/// When an answer is neither a success nor a refusal that tells how long to wait. A gateway that is gone is none.
pub async fn run(load: &BudgetLoad) -> Result<Figures> {
    let begin = Instant::now();
    let clients: Vec<_> = (0..load.clients)
        .map(|number| tokio::spawn(Client::new(load, number, begin).run()))
        .collect();
    let mut tries = Vec::new();
    for client in clients {
        tries.extend(client.await.map_err(Error::other)??);
    }
    Ok(Figures::new(&tries, load.time, load.limits))
}
