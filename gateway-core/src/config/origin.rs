//! Origins of web pages as operators list them: `*`, or what a browser sends in `origin`, to be compared byte for byte.

use super::error::Problem;
use super::read::{Kind, Node};
use super::report::Report;
use super::texts::beginning;

/// An origin, or `*` for all of them.
pub(super) struct Origin;

impl Kind for Origin {
    type Value = String;

    fn expected() -> String {
        format!("`{ANY}`, or an origin as browsers send it, such as `https://app.example.com`")
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<String> {
        node.parse::<Self>(report, |text| {
            if text == ANY || is_origin(text) {
                Ok(text.to_owned())
            } else {
                Err(Problem::Malformed { found: beginning(text) })
            }
        })
    }
}

/// A scheme, a host in lower case and at most a port that is not the scheme's own: browsers leave that out.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let begins_well = |text: &str| text.starts_with(|first: char| first.is_ascii_lowercase());
    let has_own_port = !own_port.is_empty() && authority.ends_with(own_port);
    begins_well(scheme)
        && scheme
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '+' | '-' | '.'))
        && authority.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
        && authority
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.' | '_' | ':' | '[' | ']'))
        && !has_own_port
}

/// Stands for every origin.
pub(super) const ANY: &str = "*";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for right in [
            "https://app.example.com",
            "http://localhost:5173",
            "http://[::1]:3000",
            "https://app.example.com:8443",
            "tauri://localhost",
            "chrome-extension://abcdefghijklmnop",
        ] {
            assert!(is_origin(right), "{right}");
        }
        for wrong in [
            "",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://App.example.com",
            "HTTPS://app.example.com",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://*.example.com",
            "https://user@app.example.com",
            "https://app.example.com\r\n",
            "://app",
            "null",
        ] {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }
}
