//! The server: what it needs is opened first, all errors at once to whoever starts it; then it serves on its threads
//! until a signal ends it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tidegate_core::Gateway;
use tidegate_core::config::ConfigErrors;
use tidegate_core::geo::Location;
use tidegate_core::hop::Role;
use tidegate_core::platform::StoreError;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::chores::Chores;
use crate::client::ClientTls;
use crate::config_file::ConfigFile;
use crate::descriptors::{self, most_connections};
use crate::doors::{Doors, MostConnections};
use crate::events;
use crate::platform::Resources;
use crate::redis::{Redis, RedisAddress, RedisOpenError};
use crate::shutdown::{Ending, Supervisor};
use crate::state::State;
use crate::store::{Store, StoreOpenError};
use crate::tables::{self, TablesError};
use crate::tls::{self, TlsError, TlsFiles};
use crate::worker::Worker;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The configuration file, `gateway.toml`.
    pub config: PathBuf,
    /// The folder of the token tables, `NAME.tokens`; `None` is the folder `tokens` beside the configuration, if it is
    /// there.
    pub tokens: Option<PathBuf>,
    /// Where to listen. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where operators are answered, and nobody else; `None` answers them where clients are.
    pub admin_listen: Option<SocketAddr>,
    /// Where cells and store are.
    pub keep: Keep,
    /// The code of this edge location, such as `FRA`; empty when unknown.
    pub location: String,
    /// What it does of requests' ways.
    pub role: Role,
    /// Threads that serve.
    pub threads: NonZeroUsize,
    /// The server's identity; `None` serves plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How long a shutdown waits for answers to finish before it ends them.
    pub drain_timeout: Duration,
    /// How many clients may be connected.
    pub connections: MostConnections,
}

/// Where a server keeps its cells and its store.
#[derive(Clone, Debug)]
pub enum Keep {
    /// In this process, and forgotten with it.
    Memory,
    /// Cells in this process, the store in this directory.
    Directory(PathBuf),
    /// In a Redis, which other servers may share.
    Redis(RedisAddress),
}

/// Why the server could not serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The configuration is invalid.
    #[error("{} is not a valid configuration:\n{errors}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        errors: ConfigErrors,
    },
    /// A token table cannot be used.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// The store cannot be opened.
    #[error(transparent)]
    StoreOpen(#[from] StoreOpenError),
    /// Redis cannot be used.
    #[error(transparent)]
    Redis(#[from] RedisOpenError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server's identity cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused a thread, a signal handler or an event queue.
    #[error("cannot serve: {0}")]
    Run(#[from] io::Error),
}

/// A server that listens.
pub struct Server {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    speaks_tls: bool,
    workers: Vec<Worker>,
    resources: Arc<Resources>,
    supervisor: Supervisor,
}

impl Server {
    /// Reads the configuration, opens the store, and listens, to clients and to signals.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn bind(options: ServeOptions) -> Result<Self, ServeError> {
        let ServeOptions {
            config,
            tokens,
            listen,
            admin_listen,
            keep,
            location,
            role,
            threads,
            tls,
            drain_timeout,
            connections,
        } = options;
        let most = most_connections(connections.in_all, descriptors::raise_limit(), threads);
        let (config_file, gateway) = start_gateway(config, tokens.as_deref(), &location)?;
        gateway.set_role(role);
        let acceptor = tls.as_ref().map(tls::acceptor).transpose()?;
        let resources = Arc::new(Resources {
            state: open(keep)?,
            tls: Arc::new(ClientTls::default()),
        });
        let supervisor = Supervisor::new(Arc::clone(&gateway), drain_timeout)?;
        supervisor.block_on(config_file.offer_at_start(&resources.state))?;
        let mut doors = Doors::bind(listen, threads, most, connections.per_address)?;
        if let Some(address) = admin_listen {
            doors.bind_for_operators(address)?;
        }
        let mut chores = Some(Chores {
            config_file,
            reload: Arc::clone(&supervisor.line.reload),
        });
        let to_worker = |doors| Worker {
            doors,
            tls: acceptor.clone(),
            gateway: Arc::clone(&gateway),
            location: Location {
                code: location.clone(),
                coordinates: None,
            },
            resources: Arc::clone(&resources),
            draining: supervisor.line.draining.subscribe(),
            open: Arc::clone(&supervisor.line.open),
            chores: chores.take(),
        };
        let workers = doors.of_threads.into_iter().map(to_worker).collect();
        Ok(Self {
            address: doors.address,
            admin_address: doors.admin_address,
            speaks_tls: tls.is_some(),
            workers,
            resources,
            supervisor,
        })
    }

    /// A URL that reaches the server from this machine.
    pub fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// The same for operators, where they have an address of their own.
    pub fn admin_url(&self) -> Option<String> {
        self.admin_address.map(|address| self.url_at(address))
    }

    fn url_at(&self, mut address: SocketAddr) -> String {
        let scheme = if self.speaks_tls { "https" } else { "http" };
        if address.ip().is_unspecified() {
            let loopback = if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            };
            address.set_ip(loopback);
        }
        format!("{scheme}://{address}")
    }

    /// Serves until SIGTERM or SIGINT, then lets what runs come to its end.
    ///
    /// # Errors
    /// When the operating system refuses what serving needs.
    pub fn run(self) -> Result<Ending, ServeError> {
        let (report, ends) = mpsc::unbounded_channel();
        info!(address = %self.address, threads = self.workers.len(), "serving");
        for (number, worker) in self.workers.into_iter().enumerate() {
            let report = report.clone();
            thread::Builder::new()
                .name(format!("tidegate-{number}"))
                .spawn(move || {
                    // Nobody listens any more when the process is told to end at once.
                    drop(report.send(worker.run()));
                })?;
        }
        drop(report);
        let ending = self.supervisor.supervise(ends)?;
        match ending {
            Ending::Finished | Ending::CutShort => self.resources.state.flush(),
            Ending::AtOnce => {}
        }
        Ok(ending)
    }
}

/// The gateway with its configuration and tables, and the file of the former.
fn start_gateway(
    path: PathBuf,
    tokens: Option<&Path>,
    location: &str,
) -> Result<(ConfigFile, Arc<Gateway>), ServeError> {
    let config_file = ConfigFile::read(path.clone()).map_err(|source| ServeError::ConfigFile {
        path: path.clone(),
        source,
    })?;
    let tables = tables::read(tokens, &path)?;
    let gateway = Gateway::new(config_file.text(), tables).map_err(|errors| ServeError::Config { path, errors })?;
    gateway.set_sink(events::sink());
    if !location.is_empty() && !gateway.has_region_at(location) {
        warn!(%location, "no region of the configuration has this name: all clusters count as equally far");
    }
    Ok((config_file, gateway))
}

fn open(keep: Keep) -> Result<State, ServeError> {
    Ok(match keep {
        Keep::Memory => State::own(Store::open(None)?),
        Keep::Directory(directory) => State::own(Store::open(Some(&directory))?),
        Keep::Redis(address) => State::Shared(Redis::open(&address)?),
    })
}
