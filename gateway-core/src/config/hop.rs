//! Where a region hop is reached, as operators write it: a base URL, or a binding between two Workers.

use std::fmt;

use http::Uri;
use serde::{Deserialize, Serialize};

use super::bundle;
use super::error::Problem;
use super::read::{Kind, Node};
use super::report::Report;
use super::texts::beginning;
use super::url::normalise;

/// Where a region hop is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HopAddress {
    /// At a base URL, without a trailing slash.
    Url(#[serde(with = "bundle::url")] Uri),
    /// By the service binding of that name, from one Worker to another.
    Binding(String),
}

impl fmt::Display for HopAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{url}"),
            Self::Binding(name) => write!(f, "{BINDING}{name}"),
        }
    }
}

/// The address of a region hop.
pub(super) struct Hop;

impl Kind for Hop {
    type Value = HopAddress;

    fn expected() -> String {
        format!("a URL such as `https://fra.gateway.example.com`, or `{BINDING}` and the name of a service binding")
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<HopAddress> {
        node.parse::<Self>(report, |text| {
            let malformed = || Problem::Malformed { found: beginning(text) };
            match text.strip_prefix(BINDING) {
                Some(name) if is_binding(name) => Ok(HopAddress::Binding(name.to_owned())),
                Some(_) => Err(malformed()),
                None => normalise(text)?.parse().map(HopAddress::Url).map_err(|_| malformed()),
            }
        })
    }
}

/// Bindings are named as the variables of JavaScript are, in capitals by custom.
fn is_binding(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(is_plain) && name.len() <= 64
}

const BINDING: &str = "binding:";
