//! Who is it: the tenant of an API key. Keys are known by digest only, and compared in constant time.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::api::RequestError;
use crate::config::{Admin, Config, KeyDigest, Priority, Tenant};

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose key it came with.
    pub tenant: Arc<Tenant>,
    /// The key's priority.
    pub priority: Priority,
}

/// Whose key the headers carry.
///
/// # Errors
/// When there is no key, or nobody's.
pub fn authenticate(config: &Config, headers: &HeaderMap) -> Result<Caller, RequestError> {
    let presented = presented(headers)?;
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
    let digest = presented(headers)?;
    if is_among(digest, &admin.keys).into() {
        Ok(())
    } else {
        Err(RequestError::UnknownKey)
    }
}

fn presented(headers: &HeaderMap) -> Result<KeyDigest, RequestError> {
    let value = headers.get(AUTHORIZATION).ok_or(RequestError::MissingKey)?;
    let (scheme, key) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or(RequestError::MissingKey)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(KeyDigest::of(key.trim()))
    } else {
        Err(RequestError::MissingKey)
    }
}

fn is_among(digest: KeyDigest, keys: &[KeyDigest]) -> Choice {
    keys.iter()
        .fold(Choice::from(0), |found, key| found | key.0.ct_eq(&digest.0))
}
