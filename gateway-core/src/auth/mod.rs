//! Who is it: the tenant of an API key. Keys are known by digest only, and compared in constant time.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::api::headers::{X_ADMIN_KEY, X_EXPLAIN};
use crate::api::{Dialect, RequestError, Right};
use crate::config::{Admin, Config, KeyDigest, Priority, Tenant};

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose key it came with.
    pub tenant: Arc<Tenant>,
    /// The key's priority.
    pub priority: Priority,
}

/// Whose key the headers carry, in the way of that family of API.
///
/// # Errors
/// When there is no key, or nobody's.
pub fn authenticate(config: &Config, dialect: Dialect, headers: &HeaderMap) -> Result<Caller, RequestError> {
    let presented = presented(dialect, headers)?;
    // Every digest of every tenant is looked at, so that time tells nothing of where a match stands.
    let mut found = (u32::MAX, u32::MAX);
    for (tenant, its) in (0_u32..).zip(&config.tenants) {
        for (key, of_tenant) in (0_u32..).zip(&its.keys) {
            let is_it = of_tenant.digest.0.ct_eq(&presented.0);
            found.0.conditional_assign(&tenant, is_it);
            found.1.conditional_assign(&key, is_it);
        }
    }
    let place = |index| usize::try_from(index).unwrap_or(usize::MAX);
    let tenant = config.tenants.get(place(found.0)).ok_or(RequestError::UnknownKey)?;
    let key = tenant.keys.get(place(found.1)).ok_or(RequestError::UnknownKey)?;
    Ok(Caller {
        tenant: Arc::clone(tenant),
        priority: key.priority,
    })
}

/// An admin key as it is told to others: the first digits of its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminKeyId(KeyDigest);

impl fmt::Display for AdminKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.0.to_string();
        f.write_str(digest.get(..ID_LENGTH).unwrap_or_default())
    }
}

/// Which admin key the headers carry.
///
/// # Errors
/// When they carry none, or one that does not allow that.
pub fn authenticate_admin(admin: &Admin, headers: &HeaderMap, right: Right) -> Result<AdminKeyId, RequestError> {
    let digest = presented(Dialect::default(), headers)?;
    // Both lists are looked at, so that time tells nothing of where a match stands.
    let writes = is_among(digest, &admin.keys);
    let reads = writes | is_among(digest, &admin.read_keys);
    match right {
        Right::Read if reads.into() => Ok(AdminKeyId(digest)),
        Right::Write if writes.into() => Ok(AdminKeyId(digest)),
        Right::Write if reads.into() => Err(RequestError::ReadOnlyKey),
        Right::Read | Right::Write => Err(RequestError::UnknownKey),
    }
}

/// Whether a client's request is to be explained, for which it carries an operator's key beside the client's.
///
/// # Errors
/// When it asks for that without such a key, or in other words.
pub fn wants_explanation(admin: &Admin, headers: &HeaderMap) -> Result<bool, RequestError> {
    match headers.get(X_EXPLAIN).map(HeaderValue::as_bytes) {
        None => return Ok(false),
        Some(b"1") => {}
        Some(_) => return Err(RequestError::WrongExplain),
    }
    let key = headers.get(X_ADMIN_KEY).and_then(|key| key.to_str().ok());
    let digest = KeyDigest::of(key.ok_or(RequestError::NoAdminKey)?);
    let reads = is_among(digest, &admin.keys) | is_among(digest, &admin.read_keys);
    if reads.into() {
        Ok(true)
    } else {
        Err(RequestError::UnknownAdminKey)
    }
}

fn presented(dialect: Dialect, headers: &HeaderMap) -> Result<KeyDigest, RequestError> {
    let key = dialect.presented_key(headers).ok_or(RequestError::MissingKey)?;
    Ok(KeyDigest::of(key))
}

fn is_among(digest: KeyDigest, keys: &[KeyDigest]) -> Choice {
    keys.iter()
        .fold(Choice::from(0), |found, key| found | key.0.ct_eq(&digest.0))
}

/// `sha256:` and eight digits: enough to tell an operator's keys apart, and no help to who would guess one.
const ID_LENGTH: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_takes_an_operators_key_beside_the_clients() {
        let admin = Admin {
            keys: vec![KeyDigest::of("writer")],
            read_keys: vec![KeyDigest::of("reader")],
        };
        let asked = |explain: Option<&str>, key: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(X_EXPLAIN, explain), (X_ADMIN_KEY, key)] {
                headers.extend(value.map(|value| (name, value.parse::<HeaderValue>().expect("a header"))));
            }
            wants_explanation(&admin, &headers)
        };
        for key in ["reader", "writer"] {
            assert_eq!(asked(Some("1"), Some(key)), Ok(true));
        }
        assert_eq!(asked(None, Some("stranger")), Ok(false));
        assert_eq!(asked(Some("1"), None), Err(RequestError::NoAdminKey));
        for stranger in ["stranger", "", "reader "] {
            assert_eq!(asked(Some("1"), Some(stranger)), Err(RequestError::UnknownAdminKey));
        }
        assert_eq!(asked(Some("yes"), Some("reader")), Err(RequestError::WrongExplain));
    }

    #[test]
    fn a_key_that_reads_changes_nothing() {
        let admin = Admin {
            keys: vec![KeyDigest::of("writer")],
            read_keys: vec![KeyDigest::of("reader")],
        };
        let asked = |key: &str, right| {
            let mut headers = HeaderMap::new();
            let value = format!("Bearer {key}").parse().expect("a header");
            headers.insert(http::header::AUTHORIZATION, value);
            authenticate_admin(&admin, &headers, right).map(|id| id.to_string())
        };
        let id = KeyDigest::of("writer").to_string()[..15].to_owned();
        assert_eq!(asked("writer", Right::Write), Ok(id.clone()));
        assert_eq!(asked("writer", Right::Read), Ok(id));
        assert!(asked("reader", Right::Read).is_ok());
        assert_eq!(asked("reader", Right::Write), Err(RequestError::ReadOnlyKey));
        for right in [Right::Read, Right::Write] {
            assert_eq!(asked("stranger", right), Err(RequestError::UnknownKey));
        }
    }
}
