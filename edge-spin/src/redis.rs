//! A Redis or Valkey, by the connections that Spin makes, and the store in it. What a connection says when it is
//! broken cannot be told from what Redis says when it refuses, so that after an error a call is made again, over a new
//! connection, a few times.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select, try_join_all};
use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};
use tidegate_core::cells::redis::{Call, PREFIX};
use tidegate_core::platform::StoreError;

use crate::timers;

/// A Redis, connected to when it is first needed.
pub(crate) struct Redis {
    /// Its URL, which may hold a password and is never shown.
    url: String,
    connection: RefCell<Option<Rc<Connection>>>,
}

/// Why a call has no reply.
pub(crate) enum Failure {
    /// There is no connection: the call did not leave.
    NotSent(String),
    /// It may have been carried out.
    Lost(String),
}

impl Redis {
    /// The Redis at `url`.
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            connection: RefCell::default(),
        }
    }

    /// Runs a script once, by its digest where Redis knows it. Its values are in order, integers as decimals.
    ///
    /// # Errors
    /// When there is no reply in time.
    pub(crate) async fn run(&self, call: &Call) -> Result<Vec<Vec<u8>>, Failure> {
        let run = async |connection: Rc<Connection>| {
            let by_digest = connection.execute("EVALSHA", parameters(call.script.sha1, call)).await;
            match by_digest {
                Err(error) if says(&error).contains(UNKNOWN_SCRIPT) => {
                    connection.execute("EVAL", parameters(call.script.text, call)).await
                }
                done => done,
            }
        };
        let values = self.once(run).await?;
        Ok(values.into_iter().map(to_bytes).collect())
    }

    /// Reads many keys of the store.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub(crate) async fn read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let read = async |connection: Rc<Connection>| {
            try_join_all(keys.iter().map(|key| connection.get(value_key(key)))).await
        };
        let values = self.again(read).await?;
        Ok(values.into_iter().map(|value| value.map(Bytes::from)).collect())
    }

    /// Writes one key of the store; with a `ttl` it disappears after that time.
    ///
    /// # Errors
    /// When Redis does not answer in time or refuses.
    pub(crate) async fn write(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StoreError> {
        let mut parameters = vec![binary(value_key(key)), binary(value)];
        if let Some(ttl) = ttl {
            let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
            parameters.extend([binary("PX"), RedisParameter::Int64(ttl.max(1))]);
        }
        let parameters = &parameters;
        let write = async |connection: Rc<Connection>| connection.execute("SET", parameters.clone()).await;
        self.again(write).await.map(drop)
    }

    /// Makes a call that does no harm when it is made twice.
    async fn again<T>(&self, call: impl AsyncFn(Rc<Connection>) -> Result<T, Error>) -> Result<T, StoreError> {
        let mut tries = 1;
        loop {
            match self.once(&call).await {
                Ok(done) => return Ok(done),
                Err(Failure::NotSent(_) | Failure::Lost(_)) if tries < MOST_TRIES => tries += 1,
                Err(Failure::NotSent(why) | Failure::Lost(why)) => return Err(StoreError(format!("Redis: {why}"))),
            }
        }
    }

    /// Makes a call. After an error the next one gets a new connection.
    async fn once<T>(&self, call: impl AsyncFnOnce(Rc<Connection>) -> Result<T, Error>) -> Result<T, Failure> {
        let connection = self.connection().await.map_err(Failure::NotSent)?;
        let done = in_time(call(Rc::clone(&connection))).await;
        done.map_err(|why| {
            let is_ours = |open: &mut Rc<Connection>| Rc::ptr_eq(open, &connection);
            drop(self.connection.borrow_mut().take_if(is_ours));
            Failure::Lost(why)
        })
    }

    async fn connection(&self) -> Result<Rc<Connection>, String> {
        if let Some(connection) = &*self.connection.borrow() {
            return Ok(Rc::clone(connection));
        }
        let connection = Rc::new(in_time(Connection::open(&self.url)).await?);
        // Another request may have been quicker.
        Ok(Rc::clone(self.connection.borrow_mut().get_or_insert(connection)))
    }
}

/// What the host does, or why it does not within [`PATIENCE`].
async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match select(pin!(call), pin!(timers::sleep(PATIENCE))).await {
        Either::Left((done, _)) => done.map_err(|error| says(&error)),
        Either::Right(_) => Err("no reply in time".to_owned()),
    }
}

fn says(error: &Error) -> String {
    match error {
        Error::InvalidAddress => {
            "the URL is none of a Redis, or allowed_outbound_hosts does not grant its host and port".to_owned()
        }
        Error::TooManyConnections => "too many connections".to_owned(),
        Error::TypeError => "a value of another type".to_owned(),
        Error::Other(detail) => detail.clone(),
    }
}

fn parameters(script: &str, call: &Call) -> Vec<RedisParameter> {
    let begin = [binary(script), RedisParameter::Int64(1), binary(&call.key)];
    begin.into_iter().chain(call.arguments.iter().map(binary)).collect()
}

fn binary(bytes: impl AsRef<[u8]>) -> RedisParameter {
    RedisParameter::Binary(bytes.as_ref().to_vec())
}

fn to_bytes(value: RedisResult) -> Vec<u8> {
    match value {
        RedisResult::Nil => Vec::new(),
        RedisResult::Status(text) => text.into_bytes(),
        RedisResult::Int64(number) => number.to_string().into_bytes(),
        RedisResult::Binary(bytes) => bytes,
    }
}

fn value_key(key: &str) -> String {
    format!("{PREFIX}store:{key}")
}

/// How often a call is made that has no reply.
pub(crate) const MOST_TRIES: u32 = 3;
/// How long a call may take, and how long connecting.
const PATIENCE: Duration = Duration::from_secs(1);
/// A part of what Redis says of a digest that names no script it knows.
const UNKNOWN_SCRIPT: &str = "No matching script";
