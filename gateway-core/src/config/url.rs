//! Base URLs of replicas: which are allowed, and the one way in which each is written. Two replicas are the same when
//! their normalised URLs are.

use std::net::Ipv6Addr;

use http::Uri;
use http::uri::PathAndQuery;
use thiserror::Error;

/// The URL of a path below a base URL.
///
/// # Errors
/// When they are none together.
pub fn url_at(base: &Uri, path: &str) -> Result<Uri, http::Error> {
    let path = match base.path() {
        "/" => PathAndQuery::try_from(path)?,
        prefix => PathAndQuery::try_from([prefix, path].concat())?,
    };
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(path);
    Ok(Uri::from_parts(parts)?)
}

/// The URL in lower case up to its path, without a default port, without a trailing slash.
///
/// # Errors
/// When it is not an absolute `http` or `https` URL of a host with at most a port and a plain path.
pub(super) fn normalise(text: &str) -> Result<String, UrlError> {
    if text.contains(['?', '#']) {
        return Err(UrlError::Query);
    }
    let uri: Uri = text.parse().map_err(|_| UrlError::Unreadable)?;
    let scheme = uri.scheme_str().ok_or(UrlError::Scheme)?;
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err(UrlError::Scheme),
    };
    let authority = uri.authority().ok_or(UrlError::Host)?;
    if authority.as_str().contains('@') {
        return Err(UrlError::UserInfo);
    }
    if !is_host(authority.host()) {
        return Err(UrlError::Host);
    }
    let host = authority.host().to_ascii_lowercase();
    let port = match authority.as_str()[host.len()..].strip_prefix(':') {
        None => String::new(),
        Some(written) => match written.parse::<u16>() {
            Err(_) | Ok(0) => return Err(UrlError::Port),
            Ok(port) if port == default_port => String::new(),
            Ok(port) => format!(":{port}"),
        },
    };
    let path = uri.path().trim_end_matches('/');
    if path.split('/').skip(1).any(|segment| !is_plain(segment)) {
        return Err(UrlError::Path);
    }
    Ok(format!("{scheme}://{host}{port}{path}"))
}

/// A name or an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
    }
}

/// Whether a segment of a path means itself everywhere: no way up, nothing empty, nothing that a server may decode.
fn is_plain(segment: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    !segment.is_empty() && segment.chars().all(plain) && !matches!(segment, "." | "..")
}

/// Why a text cannot be a replica's URL. The text itself is left out: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Not a URL at all.
    #[error("this is not a URL")]
    Unreadable,
    /// No scheme, or another one than `http` and `https`.
    #[error("the URL begins with neither `http://` nor `https://`")]
    Scheme,
    /// No host, or something that cannot be one.
    #[error("the URL names no host")]
    Host,
    /// A port that is none.
    #[error("the URL's port is not from 1 to 65535")]
    Port,
    /// A user name or password.
    #[error("the URL holds a user name or password")]
    UserInfo,
    /// A query or a fragment.
    #[error("the URL has a query or fragment")]
    Query,
    /// A path that could lead elsewhere.
    #[error("the URL's path has an empty, `.`, `..` or encoded segment")]
    Path,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_urls_are_written_alike() {
        let cases = [
            ("http://10.0.0.7:8000", "http://10.0.0.7:8000"),
            ("http://10.0.0.7:8000/", "http://10.0.0.7:8000"),
            ("HTTP://GPU.Example:80/", "http://gpu.example"),
            ("https://gpu.example:443/engine/v2//", "https://gpu.example/engine/v2"),
            ("https://gpu.example:08443", "https://gpu.example:8443"),
            ("http://[FD00::7]:8000/", "http://[fd00::7]:8000"),
        ];
        for (written, normalised) in cases {
            assert_eq!(normalise(written).as_deref(), Ok(normalised), "{written}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        let cases = [
            ("", UrlError::Unreadable),
            ("http://gpu example", UrlError::Unreadable),
            ("http://", UrlError::Unreadable),
            ("gpu.example:8000", UrlError::Scheme),
            ("/v1", UrlError::Scheme),
            ("ftp://gpu.example", UrlError::Scheme),
            ("http://:8000", UrlError::Host),
            ("http://gpu(1).example", UrlError::Host),
            ("http://[fd00::zz]", UrlError::Host),
            ("http://gpu.example:", UrlError::Port),
            ("http://gpu.example:0", UrlError::Port),
            ("http://gpu.example:65536", UrlError::Port),
            ("http://user:password@gpu.example", UrlError::UserInfo),
            ("http://gpu.example?key=1", UrlError::Query),
            ("http://gpu.example/#x", UrlError::Query),
            ("http://gpu.example/a/../b", UrlError::Path),
            ("http://gpu.example/a//b", UrlError::Path),
            ("http://gpu.example/%2e%2e/b", UrlError::Path),
        ];
        for (written, error) in cases {
            assert_eq!(normalise(written), Err(error), "{written}");
        }
    }

    #[test]
    fn a_path_stands_below_the_base_url() {
        let cases = [
            ("http://10.0.0.7:8000", "http://10.0.0.7:8000/v1/loads"),
            ("https://gpu.example/a/v2", "https://gpu.example/a/v2/v1/loads"),
        ];
        for (base, expected) in cases {
            let base = base.parse().expect("a URL");
            let url = url_at(&base, "/v1/loads").map(|url| url.to_string());
            assert_eq!(url.ok().as_deref(), Some(expected));
        }
    }
}
