//! Where a server listens: the doors of each of its threads, for clients and, where they have an address of their own, for
//! operators.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;

use tidegate_core::Entrance;

use crate::addresses::Addresses;
use crate::door::DoorOptions;
use crate::listener;
use crate::server::ServeError;

/// Bounds on the connections of clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct MostConnections {
    /// In all; `None` is as many as the limit on open files leaves room for, at most 16,384 for each thread.
    pub in_all: Option<NonZeroUsize>,
    /// From one address, a network of 64 bits in IPv6; `None` is no bound.
    pub per_address: Option<NonZeroUsize>,
}

/// The doors of all threads.
#[derive(Debug)]
pub struct Doors {
    /// Where clients are let in.
    pub address: SocketAddr,
    /// Where operators are, if not there.
    pub admin_address: Option<SocketAddr>,
    /// Each thread's.
    pub of_threads: Vec<Vec<DoorOptions>>,
}

impl Doors {
    /// Listens for everybody, with at most so many connections on each thread, and from each address over all.
    ///
    /// # Errors
    /// When the address is taken, or not ours.
    pub fn bind(
        address: SocketAddr,
        threads: NonZeroUsize,
        most: usize,
        per_address: Option<NonZeroUsize>,
    ) -> Result<Self, ServeError> {
        let addresses = per_address.map(|most| Arc::new(Addresses::new(most)));
        let (address, listeners) = listen(address, threads)?;
        let to_doors = |listener| {
            vec![DoorOptions {
                listener,
                entrance: Entrance::Only,
                most,
                addresses: addresses.clone(),
            }]
        };
        Ok(Self {
            address,
            admin_address: None,
            of_threads: listeners.into_iter().map(to_doors).collect(),
        })
    }

    /// Listens for operators apart, on the first thread: from there on the other doors are for clients alone.
    ///
    /// # Errors
    /// When the address is taken, or not ours.
    pub fn bind_for_operators(&mut self, address: SocketAddr) -> Result<(), ServeError> {
        let (address, listeners) = listen(address, NonZeroUsize::MIN)?;
        self.admin_address = Some(address);
        for door in self.of_threads.iter_mut().flatten() {
            door.entrance = Entrance::Clients;
        }
        let to_door = |listener| DoorOptions {
            listener,
            entrance: Entrance::Operators,
            most: MOST_OPERATORS,
            addresses: None,
        };
        if let Some(first) = self.of_threads.first_mut() {
            first.extend(listeners.into_iter().map(to_door));
        }
        Ok(())
    }
}

/// One listening socket for each of `threads`, and their address.
fn listen(address: SocketAddr, threads: NonZeroUsize) -> Result<(SocketAddr, Vec<TcpListener>), ServeError> {
    let to_error = |source| ServeError::Listen { address, source };
    let listeners = listener::bind(address, threads).map_err(to_error)?;
    let bound = listeners[0].local_addr().map_err(to_error)?;
    Ok((bound, listeners))
}

/// Most connections of operators: those of a few scrapers, and of somebody who looks.
const MOST_OPERATORS: usize = 64;
