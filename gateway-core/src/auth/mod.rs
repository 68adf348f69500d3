//! Who is it: the tenant of an API key. Keys are known by digest only, and compared in constant time.

use std::sync::Arc;

use http::HeaderMap;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::api::{Dialect, RequestError};
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

/// Whether the headers carry an admin key.
///
/// # Errors
/// When they do not.
pub fn authenticate_admin(admin: &Admin, headers: &HeaderMap) -> Result<(), RequestError> {
    let digest = presented(Dialect::default(), headers)?;
    if is_among(digest, &admin.keys).into() {
        Ok(())
    } else {
        Err(RequestError::UnknownKey)
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
