//! The engine behind HTTP: vLLM's endpoints, and `/sim` for tests.
//!
//! | endpoint | |
//! |---|---|
//! | `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings` | answers, as [`crate::language`] makes them |
//! | `GET /v1/models`, `/health`, `/version`, `/load`, `/metrics` | as vLLM has them |
//! | `POST /tokenize`, `/detokenize` | the simulated tokens |
//! | `/sim/faults` | see [`faults`] |
//! | `/sim/requests` | the last requests as they arrived, and what became of them |

mod connection;
mod driver;
mod endpoints;
mod error;
pub mod faults;
mod generate;
mod load_header;
pub mod options;
mod prompt;
mod record;
mod reply;
mod router;
mod routes;
mod serve;
mod shared;
mod strike;
mod wire;

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::options::{EngineOptions, OptionsError};
use self::serve::serve_connection;
use self::shared::Shared;
use crate::language::tokenizer::TokenizerError;

/// An engine that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The options make no engine.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    /// The tokenizer cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// Starts to listen; [`Server::run`] answers.
///
/// # Errors
/// When the options make no engine, its tokenizer cannot be used, or the address is not free.
pub async fn bind(options: EngineOptions) -> Result<Server, ServeError> {
    options.check()?;
    let address = options.listen;
    let cannot_listen = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    Ok(Server {
        listener,
        address,
        shared: Shared::new(options)?,
    })
}

/// Listens and answers for as long as the process lives.
///
/// # Errors
/// As [`bind`].
pub async fn serve(options: EngineOptions) -> Result<(), ServeError> {
    bind(options).await?.run(pending()).await;
    Ok(())
}

impl Server {
    /// Where it listens; tells the port when port 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is ready, or for good when it never is. Then streams are cut, as vLLM does it when its
    /// `--shutdown-timeout` is 0.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let driver = Arc::clone(&self.shared.driver);
        tokio::select! {
            () = self.accept() => {}
            () = async { driver.run().await } => {}
            () = shutdown => {}
        }
    }

    async fn accept(self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve_connection(Arc::clone(&self.shared), stream));
                    }
                    // Out of file descriptors, or a client that left already: the next one may be luckier.
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
