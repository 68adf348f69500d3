//! What a request says beyond what it wants generated: fields by which it would steer the engine that serves it, and
//! places from which that is to fetch something. Whether it may is the operator's word.

use crate::config::{EngineKind, MediaOrigin, MediaUrls, Tenant};

use super::request_error::RequestError;

/// What of a request would steer engines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steering {
    /// Fields that steer some engine, by [`EngineKind::steering_fields`].
    pub fields: Vec<&'static str>,
    /// What engines are to fetch.
    pub media: Vec<MediaUrl>,
}

/// A URL of an image, a piece of audio or a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaUrl {
    /// The parameter that it stands in.
    pub param: &'static str,
    /// The beginning of it, as it was written.
    pub beginning: String,
    /// Where it leads; `None` where not every engine may read it alike.
    pub origin: Option<MediaOrigin>,
}

impl Steering {
    /// Whether a tenant may steer these engines so, and have them fetch what the request names.
    ///
    /// # Errors
    /// The first field or URL that it may not send.
    pub fn check(
        &self,
        engines: impl Iterator<Item = EngineKind> + Clone,
        tenant: &Tenant,
        media: &MediaUrls,
    ) -> Result<(), RequestError> {
        let is_open = |field: &str| tenant.engine_fields.iter().any(|allowed| allowed == field);
        let steers = |field: &str| engines.clone().any(|engine| engine.steering_fields().contains(&field));
        if let Some(param) = self.fields.iter().find(|field| !is_open(field) && steers(field)) {
            return Err(RequestError::SteersEngine { param });
        }
        let may_fetch = |url: &&MediaUrl| url.origin.as_ref().is_some_and(|origin| media.allow(origin));
        match self.media.iter().find(|url| !may_fetch(url)) {
            None => Ok(()),
            Some(MediaUrl { param, beginning, .. }) => Err(RequestError::MediaUrl {
                param,
                url: beginning.clone(),
            }),
        }
    }
}

impl MediaUrl {
    /// What a URL says; `None` of what comes inside the request, which nobody fetches.
    pub fn of(param: &'static str, url: &str) -> Option<Self> {
        const DATA: &str = "data:";
        let is_data = url
            .get(..DATA.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(DATA));
        (!is_data).then(|| Self {
            param,
            beginning: url.chars().take(MOST_KEPT).collect(),
            origin: origin(url),
        })
    }
}

/// Where a URL leads, if it is written so that every parser agrees: a scheme, `://`, and a host of letters, digits, dots
/// and hyphens with at most a port. Parsers differ over user names, backslashes, and what is percent-encoded there.
fn origin(url: &str) -> Option<MediaOrigin> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let is_plain = !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !host.is_empty()
        && host.bytes().all(is_host)
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| MediaOrigin {
        scheme: scheme.to_ascii_lowercase(),
        authority: authority.to_ascii_lowercase(),
    })
}

/// Characters of a URL that an error can show.
const MOST_KEPT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn leads_to(url: &str) -> Option<String> {
        let origin = MediaUrl::of("messages", url).unwrap().origin?;
        Some(format!("{}://{}", origin.scheme, origin.authority))
    }

    #[test]
    fn a_url_leads_to_its_host() {
        for (url, expected) in [
            ("https://example.com/a.png", "https://example.com"),
            ("HTTPS://Example.COM:8443?x=http://b", "https://example.com:8443"),
            ("http://169.254.169.254/latest", "http://169.254.169.254"),
            ("https://example.com#@evil.org", "https://example.com"),
            ("file://host/etc/passwd", "file://host"),
        ] {
            assert_eq!(leads_to(url).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn what_parsers_read_differently_leads_nowhere() {
        for url in [
            "https://example.com\\@evil.org/",
            "https://user@example.com/",
            "https://example.com:pw@evil.org",
            "https:///evil.org",
            "https:/evil.org",
            "https:evil.org",
            "//evil.org",
            "/etc/passwd",
            "",
            "iVBORw0KGgo=",
            " https://example.com",
            "https://exa mple.com",
            "https://exa\tmple.com",
            "https://example.com:",
            "https://[::1]/",
            "https://b\u{fc}cher.example",
            "https://example.com%2eevil.org",
            "htt\u{440}s://example.com",
        ] {
            assert_eq!(leads_to(url), None, "{url}");
        }
    }

    #[test]
    fn what_comes_inside_is_not_fetched() {
        assert_eq!(MediaUrl::of("messages", "data:image/png;base64,iVBORw0KGgo="), None);
        assert_eq!(MediaUrl::of("messages", "DATA:,"), None);
    }
}
