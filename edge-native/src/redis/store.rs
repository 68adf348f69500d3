//! The store in Redis: a value is a key as it stands, so that an operator can read and write it too, and Redis itself
//! lets it expire. Reading and writing can be done again without harm when a reply was lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, FromRedisValue};
use tidegate_core::cells::redis::PREFIX;
use tidegate_core::platform::StoreError;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::link::{Failure, Link, PATIENCE};

/// The store that processes share.
#[derive(Debug)]
pub struct RedisStore {
    link: Arc<Link>,
    runtime: Handle,
}

impl RedisStore {
    /// The store behind the link.
    pub(super) fn new(link: Arc<Link>, runtime: Handle) -> Self {
        Self { link, runtime }
    }

    /// The values of `keys` in order, as of one moment.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = keys.iter().copied().map(value_key).collect();
        let mut command = redis::cmd("MGET");
        command.arg(keys);
        let values: Vec<Option<Vec<u8>>> = self.call(command).await?;
        Ok(values.into_iter().map(|value| value.map(Bytes::from)).collect())
    }

    /// Writes one key; with a `ttl` it disappears after that time.
    ///
    /// # Errors
    /// When Redis does not answer in time or refuses.
    pub async fn write(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(value_key(key)).arg(value);
        if let Some(ttl) = ttl {
            command
                .arg("PX")
                .arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1));
        }
        self.call(command).await
    }

    /// Puts the text of a file under `key` unless it is the text that any process put there from its file last. Tells
    /// whether it was put.
    ///
    /// # Errors
    /// When Redis does not answer in time or refuses.
    pub async fn offer_file(&self, key: &str, text: &[u8]) -> Result<bool, StoreError> {
        let offered_key = format!("{PREFIX}offered:{key}");
        let mut get = redis::cmd("GET");
        get.arg(&offered_key);
        let last: Option<Vec<u8>> = self.call(get).await?;
        if last.as_deref() == Some(text) {
            return Ok(false);
        }
        // In this order: what ends in between is offered again.
        self.write(key, text, None).await?;
        let mut set = redis::cmd("SET");
        set.arg(&offered_key).arg(text);
        self.call::<()>(set).await?;
        Ok(true)
    }

    /// Sends the command until there is a reply, for at most [`PATIENCE`].
    async fn call<T: FromRedisValue>(&self, command: Cmd) -> Result<T, StoreError> {
        let link = Arc::clone(&self.link);
        let called = self.runtime.spawn(async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                match link.call(&command, deadline).await {
                    Err(Failure::Lost(_)) if Instant::now() < deadline => {}
                    done => return done,
                }
            }
        });
        let value = called
            .await
            .map_err(|_ended| StoreError("the process is ending".to_owned()))?;
        let value = value.map_err(|failure| StoreError(format!("Redis: {failure}")))?;
        redis::from_redis_value(value).map_err(|error| StoreError(format!("Redis: {error}")))
    }
}

fn value_key(key: &str) -> String {
    format!("{PREFIX}store:{key}")
}
