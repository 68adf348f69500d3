//! Where a client's key stands.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The key of `Authorization: Bearer KEY`.
pub fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
