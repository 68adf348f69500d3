//! One thread of the server: its own runtime, listening socket, connections to engines, and every request that comes
//! in through them. Threads share only what [`Resources`] holds.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tidegate_core::Gateway;
use tidegate_core::geo::Location;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::chores::Chores;
use crate::connection;
use crate::outbox::Outbox;
use crate::platform::{NativePlatform, Resources};
use crate::service::Service;
use crate::tasks::Tasks;

/// What a thread is started with.
pub struct Worker {
    /// Its listening socket.
    pub listener: std::net::TcpListener,
    /// The server's identity, when it speaks TLS.
    pub tls: Option<TlsAcceptor>,
    /// The core.
    pub gateway: Arc<Gateway>,
    /// Where this process stands.
    pub location: Location,
    /// What the threads share.
    pub resources: Arc<Resources>,
    /// Turns true when the server shall finish what it has and accept nothing more.
    pub draining: watch::Receiver<bool>,
    /// Open connections of all threads.
    pub open: Arc<AtomicUsize>,
    /// What one of the threads does for all.
    pub chores: Option<Chores>,
}

impl Worker {
    /// Serves until it is told to drain and everything it had accepted is answered and settled.
    ///
    /// # Errors
    /// When the runtime cannot be made or the socket cannot be used with it.
    pub fn run(self) -> io::Result<()> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .build_local(LocalOptions::default())?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> io::Result<()> {
        let Self {
            listener,
            tls,
            gateway,
            location,
            resources,
            mut draining,
            open,
            chores,
        } = self;
        let listener = TcpListener::from_std(listener)?;
        let outbox = Outbox::start();
        let platform = NativePlatform::new(resources, outbox.clone());
        if let Some(chores) = chores {
            chores.start(&gateway, &platform);
        }
        let sweeper = platform.clone();
        every(CONNECTION_SWEEP_EVERY, async move || sweeper.sweep_connections());

        let service = Rc::new(Service {
            gateway,
            platform: platform.clone(),
            outbox: outbox.clone(),
            location,
        });
        let (drain_connections, _) = watch::channel(false);
        let connections = Connections {
            tls,
            service,
            open,
            drain: drain_connections,
            tasks: Tasks::default(),
        };
        tokio::select! {
            biased;
            _told = draining.wait_for(|draining| *draining) => {}
            () = connections.accept_from(&listener) => {}
        }
        // Connections that the kernel has completed for us would be reset with the socket.
        while let Some(Ok((socket, _))) = listener.accept().now_or_never() {
            connections.add(socket);
        }
        drop(listener);
        // A request that is on its way over a connection that was just opened gets read before idle ones close.
        sleep(LATE_REQUESTS).await;
        connections.drain.send_replace(true);
        connections.tasks.done().await;
        platform.background_done().await;
        // No turn follows in which what was written last would leave.
        outbox.send();
        Ok(())
    }
}

/// The clients of one thread.
struct Connections {
    tls: Option<TlsAcceptor>,
    service: Rc<Service>,
    open: Arc<AtomicUsize>,
    drain: watch::Sender<bool>,
    tasks: Tasks,
}

impl Connections {
    /// Accepts for ever. What cannot be accepted, for want of file descriptors or beyond the bound, waits in the
    /// kernel.
    async fn accept_from(&self, listener: &TcpListener) {
        loop {
            if self.tasks.count() >= MAX_CONNECTIONS {
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
            match listener.accept().await {
                Ok((socket, _)) => self.add(socket),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    warn!(%error, "cannot accept connections; raise the limit on open files if it is that");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn add(&self, socket: TcpStream) {
        let counted = OpenConnection::new(Arc::clone(&self.open));
        let serve = connection::serve(
            socket,
            self.tls.clone(),
            Rc::clone(&self.service),
            self.drain.subscribe(),
        );
        self.tasks.spawn(serve.map(move |()| drop(counted)));
    }
}

/// One connection in the count of all threads.
struct OpenConnection(Arc<AtomicUsize>);

impl OpenConnection {
    fn new(open: Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does `chore` again and again on this thread, the first time after one `period`, until the thread ends.
pub fn every(period: Duration, mut chore: impl AsyncFnMut() + 'static) {
    drop(tokio::task::spawn_local(async move {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            chore().await;
        }
    }));
}

/// Most connections of one thread.
const MAX_CONNECTIONS: usize = 16_384;
/// Time to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time for requests that were sent when the server began to drain.
const LATE_REQUESTS: Duration = Duration::from_millis(50);
/// Time between two looks for idle connections to engines.
const CONNECTION_SWEEP_EVERY: Duration = Duration::from_secs(2);
/// Threads of one worker that may wait for the disk or a resolver at the same time.
const MAX_BLOCKING_THREADS: usize = 8;
