//! Where a client's key stands.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The key of `Authorization: Bearer KEY`. Where there are two such headers, even alike, another server may have looked at
/// the other one: that is no key.
pub fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    let (scheme, key) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
