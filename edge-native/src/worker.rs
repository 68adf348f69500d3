//! One thread of the server: its own runtime, listening sockets, connections to engines, and every request that comes
//! in through them. Threads share only what [`Resources`] holds.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures::future::join_all;
use tidegate_core::Gateway;
use tidegate_core::geo::Location;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_rustls::TlsAcceptor;

use crate::chores::Chores;
use crate::door::{Door, DoorOptions, Leaving};
use crate::outbox::Outbox;
use crate::platform::{NativePlatform, Resources};
use crate::service::Service;

/// What a thread is started with.
pub struct Worker {
    /// Where it lets clients in.
    pub doors: Vec<DoorOptions>,
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
            doors,
            tls,
            gateway,
            location,
            resources,
            mut draining,
            open,
            chores,
        } = self;
        let outbox = Outbox::start();
        let platform = NativePlatform::new(resources, outbox.clone());
        if let Some(chores) = chores {
            chores.start(&gateway, &platform);
        }
        let sweeper = platform.clone();
        every(CONNECTION_SWEEP_EVERY, async move || sweeper.sweep_connections());

        let to_door = |options: DoorOptions| {
            let service = Service {
                gateway: Arc::clone(&gateway),
                platform: platform.clone(),
                outbox: outbox.clone(),
                location: location.clone(),
                entrance: options.entrance,
            };
            Door::open(options, tls.clone(), Rc::new(service), Arc::clone(&open))
        };
        let doors = doors.into_iter().map(to_door).collect::<io::Result<Vec<_>>>()?;
        tokio::select! {
            biased;
            _told = draining.wait_for(|draining| *draining) => {}
            _never = join_all(doors.iter().map(Door::accept)) => {}
        }
        let clients: Vec<_> = doors.into_iter().map(Door::close).collect();
        // A request that is on its way over a connection that was just opened gets read before idle ones close.
        sleep(LATE_REQUESTS).await;
        join_all(clients.iter().map(Leaving::drained)).await;
        platform.background_done().await;
        // No turn follows in which what was written last would leave.
        outbox.send();
        Ok(())
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

/// Time for requests that were sent when the server began to drain.
const LATE_REQUESTS: Duration = Duration::from_millis(50);
/// Time between two looks for idle connections to engines.
const CONNECTION_SWEEP_EVERY: Duration = Duration::from_secs(2);
/// Threads of one worker that may wait for the disk or a resolver at the same time.
const MAX_BLOCKING_THREADS: usize = 8;
