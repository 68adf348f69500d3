//! The connection to Redis: made, watched and made anew by one task. While it is being made calls wait for it; when
//! it has been missing for [`PATIENCE`], they fail at once until it is there again.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tidegate_core::cells::redis::Call;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

/// The way to Redis. Dropping it ends the connection.
#[derive(Debug)]
pub struct Link {
    state: watch::Receiver<State>,
    /// The number of the last connection that was found to be broken.
    broken: watch::Sender<u64>,
}

/// Why a call has no reply.
#[derive(Debug)]
pub enum Failure {
    /// There is no connection: the call did not leave.
    NotSent(String),
    /// The call may have been carried out.
    Lost(String),
    /// Redis refused it.
    Refused(RedisError),
}

#[derive(Clone)]
enum State {
    /// Being made.
    Connecting,
    /// There, and the how many-th it is.
    Up(u64, MultiplexedConnection),
    /// Missing for longer than calls wait, and why.
    Down(String),
}

impl Link {
    /// A link whose connection is made by a task on the runtime.
    pub fn new(client: Client, runtime: &Handle) -> Self {
        let (tell, state) = watch::channel(State::Connecting);
        let (broken, is_broken) = watch::channel(0);
        drop(runtime.spawn(keep(client, tell, is_broken)));
        Self { state, broken }
    }

    /// Sends one command, and waits for its reply until `deadline`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn call(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        let (number, mut connection) = self.connection(deadline).await?;
        let lost = |detail: String| {
            self.broken.send_if_modified(|last| {
                let is_news = *last < number;
                *last = number.max(*last);
                is_news
            });
            Failure::Lost(detail)
        };
        match timeout_at(deadline, command.query_async(&mut connection)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if error.is_io_error() || error.is_unrecoverable_error() => Err(lost(error.to_string())),
            Ok(Err(error)) => Err(Failure::Refused(error)),
            Err(_elapsed) => Err(lost("no reply in time".to_owned())),
        }
    }

    /// Runs a script, by its digest where Redis knows it.
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn run(&self, call: &Call, deadline: Instant) -> Result<Value, Failure> {
        match self.call(&command("EVALSHA", call.script.sha1, call), deadline).await {
            Err(Failure::Refused(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.call(&command("EVAL", call.script.text, call), deadline).await
            }
            done => done,
        }
    }

    /// The connection, waited for while it is being made.
    async fn connection(&self, deadline: Instant) -> Result<(u64, MultiplexedConnection), Failure> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| match state {
            State::Connecting => false,
            // The task that keeps the connection may not have heard yet that it is broken.
            State::Up(number, _) => *number > *self.broken.borrow(),
            State::Down(_) => true,
        });
        match timeout_at(deadline, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Up(number, connection) => Ok((*number, connection.clone())),
                State::Down(why) => Err(Failure::NotSent(why.clone())),
                State::Connecting => Err(Failure::NotSent("not connected".to_owned())),
            },
            Ok(Err(_ended)) => Err(Failure::NotSent("the process is ending".to_owned())),
            Err(_elapsed) => Err(Failure::NotSent("not connected in time".to_owned())),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(detail) | Self::Lost(detail) => f.write_str(detail),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "Connecting",
            Self::Up(..) => "Up",
            Self::Down(_) => "Down",
        })
    }
}

/// Connects whenever there is no connection, until nobody wants one any more.
async fn keep(client: Client, tell: watch::Sender<State>, mut broken: watch::Receiver<u64>) {
    // The first attempt has to work; whoever waits for it hears at once why it did not.
    let (mut number, mut missing_since, mut tolerated) = (0, Instant::now(), Duration::ZERO);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(None);
    while !tell.is_closed() {
        match client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => {
                number += 1;
                if matches!(tell.send_replace(State::Up(number, connection)), State::Down(_)) {
                    info!("connected to Redis again");
                }
                if broken.wait_for(|last| *last >= number).await.is_err() {
                    return;
                }
                (missing_since, tolerated) = (Instant::now(), PATIENCE);
                tell.send_replace(State::Connecting);
            }
            Err(error) => {
                if missing_since.elapsed() >= tolerated {
                    tell_down(&tell, error.to_string());
                }
                sleep(CONNECT_EVERY).await;
            }
        }
    }
}

fn tell_down(tell: &watch::Sender<State>, why: String) {
    if !matches!(*tell.borrow(), State::Down(_)) {
        warn!("cannot reach Redis, trying again until it works: {why}");
    }
    tell.send_replace(State::Down(why));
}

fn command(how: &str, script: &str, call: &Call) -> Cmd {
    let mut command = redis::cmd(how);
    command.arg(script).arg(1).arg(&call.key);
    for argument in &call.arguments {
        command.arg(argument.as_slice());
    }
    command
}

/// How long a call may take, and how long it waits for a connection that is being made.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two attempts to connect.
const CONNECT_EVERY: Duration = Duration::from_millis(100);
