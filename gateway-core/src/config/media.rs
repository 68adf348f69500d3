//! Where engines may fetch what a prompt holds besides text: schemes and hosts as operators list them.

use serde::{Deserialize, Serialize};

use super::error::Problem;
use super::read::{Kind, Node};
use super::report::Report;
use super::texts::beginning;

/// Which URLs of images, audio and videos clients may send. What comes inside the request (`data:`) is no URL that anything
/// is fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaUrls(Vec<String>);

/// What of a URL says where something is fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaOrigin {
    /// In lower case, such as `https`.
    pub scheme: String,
    /// A host in lower case, with its port where one is written.
    pub authority: String,
}

impl MediaUrls {
    pub(super) fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// Whether something may be fetched from there.
    pub fn allow(&self, origin: &MediaOrigin) -> bool {
        let MediaOrigin { scheme, authority } = origin;
        self.0
            .iter()
            .filter_map(|pattern| pattern.split_once("://"))
            .any(|(of, host)| {
                of == scheme
                    && match host.strip_prefix('*') {
                        Some("") => is_public_name(authority),
                        Some(domain) => authority.len() > domain.len() && authority.ends_with(domain),
                        None => authority == host,
                    }
            })
    }
}

/// Whether it is a name that the public can have given to a host, at its scheme's own port: no address, as none is by its
/// last label ("ends in a number" in the URL standard), and nothing that resolves inside a network only (RFC 6761, RFC
/// 6762 and its appendix G, RFC 8375; `internal`, which ICANN keeps for that; `svc`, as Kubernetes has it).
fn is_public_name(authority: &str) -> bool {
    const NOT_PUBLIC: [&str; 12] = [
        "localhost",
        "local",
        "internal",
        "home.arpa",
        "svc",
        "lan",
        "corp",
        "home",
        "intranet",
        "private",
        "test",
        "invalid",
    ];
    let name = authority.strip_suffix('.').unwrap_or(authority);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_inside = |domain: &str| {
        name.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    name.contains('.')
        && !name.contains(':')
        && last.starts_with(|first: char| first.is_ascii_alphabetic())
        && !NOT_PUBLIC.into_iter().any(is_inside)
}

/// Where something may be fetched from: a scheme and a host, `*.` before it for all names below it, or `*` in its place.
pub(super) struct MediaPattern;

impl Kind for MediaPattern {
    type Value = String;

    fn expected() -> String {
        "`https://*` for every public name, `https://*.example.com` for the names below one, or an origin such as \
         `http://images.internal:8080`"
            .to_owned()
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<String> {
        node.parse::<Self>(report, |text| {
            if is_pattern(text) {
                Ok(text.to_owned())
            } else {
                Err(Problem::Malformed { found: beginning(text) })
            }
        })
    }
}

fn is_pattern(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let host_alone = host.strip_prefix("*.").unwrap_or(host);
    let begins_well = host_alone.starts_with(|first: char| first.is_ascii_alphanumeric());
    let is_host = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.' | ':');
    matches!(scheme, "http" | "https") && (host == "*" || begins_well && host_alone.chars().all(is_host))
}

/// What holds where nothing is written.
pub(super) const DEFAULT: &str = "https://*";

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &[&str], scheme: &str, authority: &str) -> bool {
        let origin = MediaOrigin {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
        };
        MediaUrls::new(patterns.iter().map(|&pattern| pattern.to_owned()).collect()).allow(&origin)
    }

    #[test]
    fn by_default_public_names_are_fetched_from_over_https() {
        for right in [
            "example.com",
            "a.b.example.co.uk",
            "xn--bcher-kva.example",
            "example.com.",
        ] {
            assert!(allowed(&[DEFAULT], "https", right), "{right}");
            assert!(!allowed(&[DEFAULT], "http", right), "{right}");
        }
        for wrong in [
            "169.254.169.254",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "10.0.0.0x1",
            "[::1]",
            "localhost",
            "gpu-7",
            "metadata.google.internal",
            "a.localhost",
            "printer.local",
            "x.home.arpa",
            "example.com:8443",
            "localhost.",
            "1.2.3.4.",
            "",
        ] {
            assert!(!allowed(&[DEFAULT], "https", wrong), "{wrong}");
        }
    }

    #[test]
    fn listed_hosts_are_fetched_from_and_no_others() {
        let listed = &["https://*.example.com", "http://10.0.0.7:8080"];
        for (scheme, authority, expected) in [
            ("https", "images.example.com", true),
            ("https", "a.b.example.com", true),
            ("https", "example.com", false),
            ("https", "evilexample.com", false),
            ("http", "images.example.com", false),
            ("http", "10.0.0.7:8080", true),
            ("http", "10.0.0.7", false),
            ("https", "other.org", false),
        ] {
            assert_eq!(allowed(listed, scheme, authority), expected, "{scheme}://{authority}");
        }
        assert!(!allowed(&[], "https", "example.com"));
    }

    #[test]
    fn patterns_are_a_scheme_and_a_host() {
        for right in [
            "https://*",
            "http://*",
            "https://*.example.com",
            "http://images.internal:8080",
        ] {
            assert!(is_pattern(right), "{right}");
        }
        for wrong in [
            "*",
            "https://",
            "ftp://a",
            "https://**",
            "https://*example.com",
            "https://a/b",
            "https://A",
            "a",
        ] {
            assert!(!is_pattern(wrong), "{wrong}");
        }
    }
}
