//! Listening sockets: one per thread on the same port, between which the kernel spreads connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use socket2::{Domain, Protocol, Socket, Type};

/// One listening socket for each of `threads`, all on the same address. With port 0 the system chooses the port.
///
/// # Errors
/// When the address is taken or not ours. A second gateway on the same address is refused too, although the kernel
/// would let it share: cells live in the process, and two would count the same replicas' requests apart.
pub fn bind(address: SocketAddr, threads: NonZeroUsize) -> io::Result<Vec<TcpListener>> {
    let mut address = address;
    if threads.get() > 1 {
        // Sockets that share an address do not notice others that do; one that does not share notices all.
        address = listen(address, Sharing::Alone)?.local_addr()?;
    }
    let sharing = if threads.get() > 1 {
        Sharing::Shared
    } else {
        Sharing::Alone
    };
    let first = listen(address, sharing)?;
    let address = first.local_addr()?;
    let rest = (1..threads.get()).map(|_| listen(address, sharing));
    std::iter::once(Ok(first)).chain(rest).collect()
}

#[derive(Clone, Copy)]
enum Sharing {
    Alone,
    Shared,
}

fn listen(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for the old process's connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    match sharing {
        Sharing::Alone => {}
        Sharing::Shared => socket.set_reuse_port(true)?,
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections that wait to be accepted; the system's own bound may be lower.
const BACKLOG: i32 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn threads_share_one_port_that_nobody_else_gets() {
        let threads = NonZeroUsize::new(3).expect("not zero");
        let listeners = bind(ANY_PORT, threads).expect("bound");
        let address = listeners[0].local_addr().expect("an address");
        assert_eq!(listeners.len(), 3);
        assert!(
            listeners
                .iter()
                .all(|listener| listener.local_addr().is_ok_and(|other| other == address))
        );
        let taken = bind(address, threads).expect_err("a second gateway");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
