//! Where a component may send requests: `allowed_outbound_hosts` of the manifest, decided the way Spin decides it.

use wasmtime::error::Context as _;
use wasmtime::{Result, bail, ensure};

/// The hosts that a component may send requests to.
#[derive(Debug, PartialEq)]
pub(crate) struct OutboundHosts(Vec<Entry>);

#[derive(Debug, PartialEq)]
struct Entry {
    scheme: Option<String>,
    host: Host,
    port: Port,
}

#[derive(Debug, PartialEq)]
enum Host {
    Any,
    /// Any name that ends so, with the leading dot.
    Under(String),
    Exactly(String),
}

#[derive(Debug, PartialEq)]
enum Port {
    Any,
    /// From the first on, up to but not including the second.
    Within(u16, u16),
    Exactly(u16),
}

impl OutboundHosts {
    /// Reads the entries, templates resolved.
    ///
    /// # Errors
    /// When one is not of the form `scheme://host[:port]`.
    pub(crate) fn parse(entries: &[String]) -> Result<Self> {
        let parse = |entry: &String| Entry::parse(entry).with_context(|| format!("allowed outbound host `{entry}`"));
        entries.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Whether a request to `uri` is allowed.
    pub(crate) fn allow(&self, uri: &http::Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return false;
        };
        let Some(port) = uri.port_u16().or_else(|| well_known_port(scheme)) else {
            return false;
        };
        self.0.iter().any(|entry| entry.allows(scheme, host, port))
    }
}

impl Entry {
    fn parse(entry: &str) -> Result<Self> {
        let (scheme, rest) = entry
            .trim()
            .split_once("://")
            .context("it has no scheme, such as `https://` or `*://`")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        ensure!(!rest.contains('/'), "a path or a range of addresses is not supported");
        ensure!(
            scheme == "*" || scheme.chars().all(char::is_alphabetic),
            "the scheme may have letters only"
        );
        let scheme = (scheme != "*").then(|| scheme.to_owned());
        let port = Port::parse(port, scheme.as_deref())?;
        Ok(Self {
            scheme,
            host: Host::parse(host)?,
            port,
        })
    }

    fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.scheme.as_deref().is_none_or(|allowed| allowed == scheme)
            && self.host.allows(&host.to_ascii_lowercase())
            && self.port.allows(port)
    }
}

impl Host {
    fn parse(host: &str) -> Result<Self> {
        ensure!(!host.is_empty(), "it names no host");
        match host.strip_prefix('*') {
            Some("") => Ok(Self::Any),
            Some(rest) if rest.starts_with('.') && !rest.contains('*') => Ok(Self::Under(rest.to_ascii_lowercase())),
            None if !host.contains('*') => Ok(Self::Exactly(host.to_ascii_lowercase())),
            _ => bail!("`*` stands alone or before the first dot"),
        }
    }

    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Under(suffix) => host.ends_with(suffix.as_str()),
            Self::Exactly(exactly) => host == exactly,
        }
    }
}

impl Port {
    fn parse(port: &str, scheme: Option<&str>) -> Result<Self> {
        let number = |text: &str| text.parse::<u16>().with_context(|| format!("`{text}` is no port"));
        match (port, port.split_once("..")) {
            ("", _) => scheme
                .and_then(well_known_port)
                .map(Self::Exactly)
                .context("it needs a port"),
            ("*", _) => Ok(Self::Any),
            (_, Some((from, to))) => Ok(Self::Within(number(from)?, number(to)?)),
            (port, None) => number(port).map(Self::Exactly),
        }
    }

    fn allows(&self, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Within(from, to) => (*from..*to).contains(&port),
            Self::Exactly(exactly) => port == *exactly,
        }
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "redis" => Some(6379),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, uri: &str) -> bool {
        let hosts = OutboundHosts::parse(&[entry.to_owned()]).expect(entry);
        hosts.allow(&uri.parse().expect(uri))
    }

    #[test]
    fn scheme_host_and_port_must_all_match() {
        assert!(allows("http://127.0.0.1:*", "http://127.0.0.1:8000/v1"));
        assert!(!allows("http://127.0.0.1:*", "http://127.0.0.2:8000/"));
        assert!(!allows("http://127.0.0.1:*", "https://127.0.0.1:8000/"));
        assert!(allows("https://gpu.test", "https://GPU.test/"));
        assert!(!allows("https://gpu.test", "https://gpu.test:8443/"));
        assert!(allows("https://*.gpu.test", "https://a.b.gpu.test/"));
        assert!(!allows("https://*.gpu.test", "https://evilgpu.test/"));
        assert!(!allows("https://*.gpu.test", "https://gpu.test/"));
        assert!(allows("http://gpu.test:80..90", "http://gpu.test:89/"));
        assert!(!allows("http://gpu.test:80..90", "http://gpu.test:90/"));
        assert!(allows("*://*:*", "http://anything:1/"));
        assert!(allows("redis://redis.test", "redis://user:password@redis.test/1"));
        assert!(!allows("redis://redis.test", "redis://redis.test@elsewhere.test"));
        assert!(!allows("http://redis.test:6379", "redis://redis.test"));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for entry in [
            "",
            "*",
            "gpu.test",
            "*://gpu.test",
            "http://a.*.test",
            "http://a.test/path",
            "http://",
            "9://a",
        ] {
            assert!(OutboundHosts::parse(&[entry.to_owned()]).is_err(), "{entry}");
        }
    }
}
