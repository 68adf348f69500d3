//! Spin's key-value store. It has no expiry, so a value carries its own: a record is a mark, the version of the
//! format, the moment of expiry in microseconds since the Unix epoch (0 is never) and the value. What does not start
//! with the mark was put there by an operator and is a value as it stands.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use spin_sdk::key_value;
use tidegate_core::platform::StoreError;
use tidegate_core::time::Timestamp;

use crate::clock;

/// The default store, opened when it is first needed.
#[derive(Default)]
pub(crate) struct Store(OnceCell<Rc<key_value::Store>>);

impl Store {
    /// Reads many keys.
    ///
    /// # Errors
    /// When the store cannot be reached, or a record is of another version.
    pub(crate) async fn read(&self, keys: &[&str]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let store = self.open().await?;
        let values = try_join_all(keys.iter().map(|key| store.get(key)))
            .await
            .map_err(error)?;
        let now = clock::wall();
        values
            .into_iter()
            .map(|value| value.map_or(Ok(None), |value| from_record(now, value.into())))
            .collect()
    }

    /// Writes one key.
    ///
    /// # Errors
    /// When the store cannot be reached or refuses the value.
    pub(crate) async fn write(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StoreError> {
        let record = to_record(ttl.map(|ttl| clock::wall() + ttl), value);
        self.open().await?.set(key, record).await.map_err(error)
    }

    async fn open(&self) -> Result<Rc<key_value::Store>, StoreError> {
        if let Some(store) = self.0.get() {
            return Ok(Rc::clone(store));
        }
        let store = Rc::new(key_value::Store::open_default().await.map_err(error)?);
        Ok(Rc::clone(self.0.get_or_init(|| store)))
    }
}

fn to_record(expires: Option<Timestamp>, value: &[u8]) -> Vec<u8> {
    let expires = expires.map_or(0, Timestamp::as_micros);
    [MARK, &[VERSION], &expires.to_be_bytes(), value].concat()
}

fn from_record(now: Timestamp, record: Bytes) -> Result<Option<Bytes>, StoreError> {
    let Some(rest) = record.strip_prefix(MARK) else {
        return Ok(Some(record));
    };
    let Some((&VERSION, rest)) = rest.split_first() else {
        return Err(StoreError("a record of another version".to_owned()));
    };
    let Some((expires, value)) = rest.split_first_chunk() else {
        return Err(StoreError("a record that is cut off".to_owned()));
    };
    let expires = u64::from_be_bytes(*expires);
    let has_expired = expires != 0 && Timestamp::from_micros(expires) <= now;
    Ok((!has_expired).then(|| record.slice_ref(value)))
}

fn error(error: key_value::Error) -> StoreError {
    StoreError(error.to_string())
}

/// No text starts with it.
const MARK: &[u8] = b"\0tidegate";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(5_000);

    #[test]
    fn a_value_is_there_until_it_expires() {
        let later = Some(Timestamp::from_millis(5_001));
        assert_eq!(
            from_record(NOW, to_record(later, b"v").into()),
            Ok(Some(Bytes::from_static(b"v")))
        );
        assert_eq!(from_record(NOW, to_record(Some(NOW), b"v").into()), Ok(None));
        assert_eq!(from_record(NOW, to_record(None, b"").into()), Ok(Some(Bytes::new())));
    }

    #[test]
    fn what_an_operator_wrote_is_a_value() {
        let text = Bytes::from_static(b"[gateway]\n");
        assert_eq!(from_record(NOW, text.clone()), Ok(Some(text)));
        assert_eq!(from_record(NOW, Bytes::new()), Ok(Some(Bytes::new())));
    }

    #[test]
    fn other_versions_and_damaged_records_are_errors() {
        let mut record = to_record(None, b"v");
        record[MARK.len()] = 2;
        assert!(from_record(NOW, record.into()).is_err());
        assert!(from_record(NOW, Bytes::from_static(b"\0tidegate")).is_err());
        assert!(from_record(NOW, Bytes::from_static(b"\0tidegate\x01short")).is_err());
    }
}
