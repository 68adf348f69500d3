//! Where one thread lets clients in: one listening socket, and how many may be connected through it. Beyond that, or for want
//! of file descriptors, somebody goes who is slow or idle; where nobody is, who comes waits in the kernel.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tidegate_core::Entrance;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::addresses::{Addresses, Counted};
use crate::clients::Clients;
use crate::clock::now;
use crate::connection::{self, Serving};
use crate::line_rate::{Admission, LineRate};
use crate::service::Service;
use crate::tasks::Tasks;
use crate::worker::every;

/// What a door is opened with.
#[derive(Debug)]
pub struct DoorOptions {
    /// Its listening socket.
    pub listener: std::net::TcpListener,
    /// Who comes in by it.
    pub entrance: Entrance,
    /// Most connections at once.
    pub most: usize,
    /// Where connections of one address are bounded, how many there are.
    pub addresses: Option<Arc<Addresses>>,
}

/// An open door.
pub struct Door {
    listener: TcpListener,
    most: usize,
    addresses: Option<Arc<Addresses>>,
    /// Open connections of all threads.
    open: Arc<AtomicUsize>,
    tls: Option<TlsAcceptor>,
    service: Rc<Service>,
    clients: Clients,
    inside: Leaving,
}

/// The connections that have come in by a door, of which no more come.
#[derive(Default)]
pub struct Leaving {
    drain: watch::Sender<bool>,
    tasks: Tasks,
}

/// One connection in the count of all threads, and in that of its address.
struct OpenConnection {
    open: Arc<AtomicUsize>,
    _at_address: Option<Counted>,
}

impl Door {
    /// Listens. `open` counts connections of all threads.
    ///
    /// # Errors
    /// When the socket cannot be used with the thread's runtime.
    pub fn open(
        options: DoorOptions,
        tls: Option<TlsAcceptor>,
        service: Rc<Service>,
        open: Arc<AtomicUsize>,
    ) -> io::Result<Self> {
        let clients = Clients::default();
        let slow = clients.clone();
        every(SLOW_SWEEP_EVERY, async move || slow.let_slow_ones_go(Instant::now()));
        Ok(Self {
            listener: TcpListener::from_std(options.listener)?,
            most: options.most,
            addresses: options.addresses,
            open,
            tls,
            service,
            clients,
            inside: Leaving::default(),
        })
    }

    /// Lets clients in for ever.
    pub async fn accept(&self) {
        loop {
            match self.listener.accept().await {
                Ok((socket, from)) => {
                    if let Some(counted) = self.count(from.ip()) {
                        self.make_room().await;
                        self.serve(socket, counted);
                    }
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.clients.let_one_go();
                    log_crowd(&error);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Lets in those whom the kernel has let in already, who would be reset with the socket, and nobody after them.
    pub fn close(self) -> Leaving {
        while let Some(Ok((socket, from))) = self.listener.accept().now_or_never() {
            if let Some(counted) = self.count(from.ip()) {
                self.serve(socket, counted);
            }
        }
        self.inside
    }

    /// `None` where its address has as many connections as it may have.
    fn count(&self, from: IpAddr) -> Option<OpenConnection> {
        let at_address = match &self.addresses {
            Some(addresses) => Some(addresses.enter(from)?),
            None => None,
        };
        Some(OpenConnection::new(Arc::clone(&self.open), at_address))
    }

    /// Completes when there is room for one more.
    async fn make_room(&self) {
        while self.inside.tasks.count() >= self.most {
            log_crowd(&format_args!("{} connections on this thread", self.most));
            if self.clients.let_one_go() {
                // Its task ends with this turn.
                yield_now().await;
            } else {
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn serve(&self, socket: TcpStream, counted: OpenConnection) {
        let serving = Serving {
            tls: self.tls.clone(),
            service: Rc::clone(&self.service),
            client: self.clients.enter(),
            draining: self.inside.drain.subscribe(),
        };
        let serve = connection::serve(socket, serving);
        self.inside.tasks.spawn(serve.map(move |()| drop(counted)));
    }
}

impl Leaving {
    /// Has each connection end with the answer of the moment, and waits for the last.
    pub async fn drained(&self) {
        self.drain.send_replace(true);
        self.tasks.done().await;
    }
}

impl OpenConnection {
    fn new(open: Arc<AtomicUsize>, at_address: Option<Counted>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self {
            open,
            _at_address: at_address,
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says, once a second at most, that there are more clients than room.
fn log_crowd(what: &dyn Display) {
    if let Admission::Admitted { left_out } = CROWDED.admit(now().as_secs()) {
        warn!(
            left_out,
            "no room for another connection, slow and idle ones are closed: {what}"
        );
    }
}

static CROWDED: LineRate = LineRate::new(1);

/// Time between two looks for heads that take too long.
const SLOW_SWEEP_EVERY: Duration = Duration::from_millis(500);
/// Time to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
