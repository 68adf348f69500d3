//! The store: Workers KV, eventually consistent, and at most one write a second to one key.
//!
//! Many keys at once come as text only, so values are kept as text: those that are text already as they stand, so that
//! `wrangler kv key put` writes them as well, and other bytes as one character each, behind a mark.

use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use tidegate_core::platform::StoreError;
use worker::Env;
use worker::kv::KvStore;

/// Reads the keys, in order.
pub(crate) async fn read(env: &Env, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
    let store = open(env)?;
    let batches = keys.chunks(MOST_KEYS_AT_ONCE).map(|batch| read_batch(&store, batch));
    Ok(try_join_all(batches).await?.into_iter().flatten().collect())
}

/// Writes a key; it disappears after `ttl`, or a minute if that is longer.
pub(crate) async fn write(env: &Env, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StoreError> {
    let mut put = open(env)?.put(key, to_text(value)).map_err(error)?;
    if let Some(ttl) = ttl {
        put = put.expiration_ttl(ttl.max(SHORTEST_TTL).as_secs());
    }
    put.execute().await.map_err(error)
}

async fn read_batch(store: &KvStore, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
    if let [key] = keys {
        let text = store
            .get(key)
            .cache_ttl(CACHE_TTL.as_secs())
            .text()
            .await
            .map_err(error)?;
        return Ok(vec![text.map(from_text)]);
    }
    let mut texts = store
        .get_bulk(keys)
        .cache_ttl(CACHE_TTL.as_secs())
        .text()
        .await
        .map_err(error)?;
    Ok(keys
        .iter()
        .map(|key| texts.get_mut(*key).and_then(Option::take).map(from_text))
        .collect())
}

fn open(env: &Env) -> Result<KvStore, StoreError> {
    env.kv(BINDING).map_err(error)
}

fn error(error: impl std::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

fn to_text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.starts_with(BYTES_MARK) => text.to_owned(),
        Ok(_) | Err(_) => [BYTES_MARK]
            .into_iter()
            .chain(value.iter().copied().map(char::from))
            .collect(),
    }
}

fn from_text(text: String) -> Bytes {
    match text.strip_prefix(BYTES_MARK) {
        Some(bytes) => bytes
            .chars()
            .filter_map(|character| u8::try_from(character).ok())
            .collect(),
        None => text.into(),
    }
}

/// The binding in wrangler.toml.
const BINDING: &str = "STORE";
/// Workers KV's bound on one bulk read.
const MOST_KEYS_AT_ONCE: usize = 100;
/// The least that Workers KV takes: how long an edge location answers from what it has read.
const CACHE_TTL: Duration = Duration::from_secs(30);
/// The least that Workers KV takes.
const SHORTEST_TTL: Duration = Duration::from_secs(60);
/// A noncharacter, which no text begins with.
const BYTES_MARK: char = '\u{FFFF}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_it_was() {
        let all_bytes: Vec<u8> = (0..=255).collect();
        let marked = format!("{BYTES_MARK}text");
        for value in [
            &b""[..],
            b"text",
            "täxt".as_bytes(),
            &all_bytes,
            marked.as_bytes(),
            &[0xff, 0xfe],
        ] {
            assert_eq!(from_text(to_text(value)), value);
        }
    }

    #[test]
    fn text_is_kept_as_it_stands() {
        assert_eq!(to_text("[[regions]] # täxt".as_bytes()), "[[regions]] # täxt");
    }
}
