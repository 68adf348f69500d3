//! `tidegate serve`.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use tidegate_core::hop::Role;
use tidegate_native::{Ending, Keep, MostConnections, RedisAddress, ServeError, ServeOptions, Server, TlsFiles};

use crate::failure::Failure;
use crate::log::{self, Detail};

/// How to serve.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub struct Args {
    /// The configuration. It is looked at every 2 s, and at once on SIGHUP; a changed one replaces the one in force.
    #[arg(long, value_name = "FILE", default_value = "gateway.toml")]
    config: PathBuf,
    /// Folder with the token tables, NAME.tokens, that the configuration names [default: the folder `tokens` beside
    /// the configuration, if there is one].
    #[arg(long, value_name = "DIR")]
    tokens: Option<PathBuf>,
    /// Address to listen on; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Another address to listen on, for operators alone: `/metrics` and `/admin/…` are answered there and nowhere else,
    /// `/metrics` without a key where the configuration has no admin key. Let nobody else reach it.
    #[arg(long, value_name = "ADDR:PORT")]
    admin_listen: Option<SocketAddr>,
    /// Directory of the store, made when missing; one process at a time can use it. Without it the store is in memory
    /// and a restart forgets it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep the store, and the figures of clusters, in this Redis or Valkey, which any number of gateways can share:
    /// redis://USER@HOST:PORT/DB, or rediss:// for TLS.
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    redis: Option<Hidden>,
    /// Code of this edge location, such as FRA, from which distances to clusters are told.
    #[arg(long, value_name = "CODE", default_value = "")]
    location: String,
    /// What this gateway does of a request's way: `all` of it; only what is to be done at the `edge`, for which it sends
    /// orders to the region hops that the configuration names; or, beside the clusters of a `region`, only what it gets by
    /// such orders.
    #[arg(long, value_name = "ROLE", default_value = Role::All.as_str())]
    role: Role,
    /// Threads that serve, each with its own connections [default: one per core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Serve TLS with this certificate chain: PEM, leaf first.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key: PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Seconds that a shutdown waits for answers to finish before it ends the streams that are left.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_timeout: u64,
    /// Connections of clients at once; where there are more, those that are slow to send or idle are closed first
    /// [default: half of the limit on open files, at most 16384 for each thread].
    #[arg(long, value_name = "N")]
    max_connections: Option<NonZeroUsize>,
    /// Connections at once from one address, a /64 in IPv6; more are closed at once. For gateways that clients reach
    /// directly: behind a load balancer all connections come from few addresses [default: no bound].
    #[arg(long, value_name = "N")]
    max_connections_per_address: Option<NonZeroUsize>,
    /// Log the course of every request, not only what fails. No prompt, answer or key is ever logged.
    #[arg(long)]
    log_requests: bool,
}

/// A text that may hold a password, and so is never printed.
#[derive(Clone)]
struct Hidden(String);

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Serves until a signal ends it.
///
/// # Errors
/// When it cannot start, or two signals ended it before its answers were complete.
pub fn run(args: Args) -> Result<(), Failure> {
    log::start(if args.log_requests {
        Detail::Requests
    } else {
        Detail::Process
    });
    let server = Server::bind(options(args)?).map_err(to_failure)?;
    let mut stdout = io::stdout();
    let admin_url = server.admin_url().map(|url| format!(" admin_url={url}"));
    writeln!(stdout, "ready url={}{}", server.url(), admin_url.unwrap_or_default())?;
    stdout.flush()?;
    match server.run().map_err(to_failure)? {
        Ending::Finished | Ending::CutShort => Ok(()),
        Ending::AtOnce => Err(Failure::failed(
            "stopped by a second signal, with answers left incomplete",
        )),
    }
}

fn options(args: Args) -> Result<ServeOptions, Failure> {
    let threads = match args.threads {
        Some(threads) => threads,
        None => available_parallelism()
            .map_err(|error| Failure::failed(format!("cannot count this machine's cores, set --threads: {error}")))?,
    };
    let tls = args
        .tls_cert
        .zip(args.tls_key)
        .map(|(certificates, key)| TlsFiles { certificates, key });
    let keep = match (args.redis, args.data) {
        (Some(Hidden(url)), _) => Keep::Redis(redis(&url)?),
        (None, Some(directory)) => Keep::Directory(directory),
        (None, None) => Keep::Memory,
    };
    let (config, tokens, listen, location) = (args.config, args.tokens, args.listen, args.location);
    let drain_timeout = Duration::from_secs(args.drain_timeout);
    let connections = MostConnections {
        in_all: args.max_connections,
        per_address: args.max_connections_per_address,
    };
    Ok(ServeOptions {
        config,
        tokens,
        listen,
        admin_listen: args.admin_listen,
        keep,
        location,
        role: args.role,
        threads,
        tls,
        drain_timeout,
        connections,
    })
}

fn redis(url: &str) -> Result<RedisAddress, Failure> {
    let password = std::env::var(REDIS_PASSWORD).ok();
    RedisAddress::parse(url, password.as_deref()).map_err(|error| Failure::usage(format!("--redis: {error}")))
}

fn to_failure(error: ServeError) -> Failure {
    match error {
        ServeError::ConfigFile { .. } | ServeError::Config { .. } | ServeError::Tables(_) | ServeError::Tls(_) => {
            Failure::usage(error)
        }
        ServeError::StoreOpen(_)
        | ServeError::Redis(_)
        | ServeError::Store(_)
        | ServeError::Listen { .. }
        | ServeError::Run(_) => Failure::failed(error),
    }
}

/// The environment variable with the password of Redis.
const REDIS_PASSWORD: &str = "TIDEGATE_REDIS_PASSWORD";

const NOTES: &str =
    "Prints `ready url=…` on stdout when it accepts connections, with `admin_url=…` behind it where operators have an
address of their own.

Secrets that clusters name are environment variables of this process. So is the password of Redis,
TIDEGATE_REDIS_PASSWORD: one in the URL shows in the list of processes. SSL_CERT_FILE names the
authority of a rediss:// server that the machine does not know.

A configuration put into the store through the API is newer than the file and stays in force, also over
restarts with the same --data or --redis, until the file changes. Gateways that share a Redis should
be given the same file: what any of them found changed last is in force for all.

SIGTERM or SIGINT: accept nothing more, let every answer finish, end the streams that are left after
--drain-timeout with an error their clients understand, exit with 0. A second signal exits at once with 1.";
