//! Reaching an engine: name, address, socket and, for https, TLS, all within one timeout.

use std::cmp::Ordering;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::uri::{Authority, Scheme, Uri};
use socket2::{Domain, Socket, Type};
use tidegate_core::platform::SendError;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::Connection;
use super::{Client, with_causes};
use crate::descriptors::is_local;

/// Whom a connection leads to. Origins are told apart and ordered as they are written.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host and, where it is not the scheme's own, port.
    pub authority: Authority,
}

impl Origin {
    /// The origin of an absolute URL.
    ///
    /// # Errors
    /// When the URL is none that a request can be sent to.
    pub fn of(url: &Uri) -> Result<Self, SendError> {
        let tls = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(SendError::Connect("the URL is neither http nor https".into())),
        };
        let authority = url
            .authority()
            .ok_or_else(|| SendError::Connect("the URL has no host".into()))?;
        Ok(Self {
            tls,
            authority: authority.clone(),
        })
    }

    /// The host's name or address, without the brackets of an IPv6 address.
    fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.tls { 443 } else { 80 })
    }
}

impl Ord for Origin {
    fn cmp(&self, other: &Self) -> Ordering {
        fn key(origin: &Origin) -> (bool, &str) {
            (origin.tls, origin.authority.as_str())
        }
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Origin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Origin {}

/// A fresh connection to `origin`.
///
/// # Errors
/// When there is none within `limit`.
pub async fn connect(origin: &Origin, client: &Client, limit: Duration) -> Result<Connection, SendError> {
    match timeout(limit, open(origin, client, Instant::now() + limit)).await {
        Ok(opened) => opened,
        Err(_) => Err(SendError::Connect(format!(
            "no connection within {} ms",
            limit.as_millis()
        ))),
    }
}

async fn open(origin: &Origin, client: &Client, deadline: Instant) -> Result<Connection, SendError> {
    let socket = open_socket(origin, deadline).await?;
    socket.set_nodelay(true).map_err(to_send_error)?;
    let socket = client.outbox.wrap(socket);
    let started = if origin.tls {
        Connection::start(client.tls.wrap(origin.host(), socket).await?).await
    } else {
        Connection::start(socket).await
    };
    started.map_err(|error| SendError::Connect(with_causes(&error)))
}

/// Tries the host's addresses in the resolver's order. Each gets an equal share of the time that is left, so that
/// one that swallows packets does not hide the next.
async fn open_socket(origin: &Origin, deadline: Instant) -> Result<TcpStream, SendError> {
    let found = lookup_host((origin.host(), origin.port())).await;
    let addresses: Vec<SocketAddr> = found.map_err(of_lookup)?.take(MAX_ADDRESSES).collect();
    let mut failure = "the name has no address".to_owned();
    for (tried, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let shares = u32::try_from(addresses.len() - tried).unwrap_or(1);
        let share = deadline.saturating_duration_since(now) / shares;
        failure = match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) if is_local(&error) => return Err(SendError::Local(error.to_string())),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", share.as_millis()),
        };
    }
    Err(SendError::Connect(failure))
}

/// A resolver that lacks a descriptor says in many ways that it found nothing; a socket says what is the matter.
fn of_lookup(error: io::Error) -> SendError {
    match Socket::new(Domain::IPV4, Type::DGRAM, None) {
        Err(lack) if is_local(&lack) => SendError::Local(lack.to_string()),
        Ok(_) | Err(_) => to_send_error(error),
    }
}

fn to_send_error(error: io::Error) -> SendError {
    if is_local(&error) {
        SendError::Local(error.to_string())
    } else {
        SendError::Connect(error.to_string())
    }
}

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
