//! The heads of requests and responses, as the core's types and as the texts of `glue.js`.

use std::str::Split;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use tidegate_core::geo::{Coordinates, Location};

/// All of a client's request but its body.
pub(crate) struct RequestHead {
    pub method: Method,
    pub uri: Uri,
    pub location: Location,
    pub headers: HeaderMap,
}

impl RequestHead {
    /// Reads the text. What is unreadable in it names nothing that the core serves.
    pub fn parse(text: &str) -> Self {
        let mut lines = text.split('\n');
        let mut line = || lines.next().unwrap_or_default();
        Self {
            method: Method::from_bytes(line().as_bytes()).unwrap_or_default(),
            uri: line().parse().unwrap_or(Uri::from_static("/unreadable")),
            // The data centre's code, and where the client is: next to it, as clients are sent to the nearest one.
            location: Location {
                code: line().to_owned(),
                coordinates: coordinates(line(), line()),
            },
            headers: headers(lines),
        }
    }
}

/// The status and the headers of an upstream's response.
pub(crate) fn parse_response(text: &str) -> (StatusCode, HeaderMap) {
    let mut lines = text.split('\n');
    let status = lines.next().and_then(|status| status.parse().ok());
    (status.unwrap_or(StatusCode::BAD_GATEWAY), headers(lines))
}

/// The text of a head: its first line or lines, then the headers.
pub(crate) fn text(first: &str, headers: &HeaderMap) -> String {
    let mut text = String::with_capacity(LIKELY_BYTES);
    text.push_str(first);
    text.push('\n');
    for (name, value) in headers {
        text.push_str(name.as_str());
        text.push('\n');
        // The runtime reads and writes headers as UTF-8.
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push('\n');
    }
    text
}

/// The headers in the lines. What is no header to the core is left out.
fn headers(mut lines: Split<'_, char>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(LIKELY_HEADERS);
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn coordinates(latitude: &str, longitude: &str) -> Option<Coordinates> {
    let degrees = |text: &str, most: f64| text.parse().ok().filter(|degrees: &f64| degrees.abs() <= most);
    Some(Coordinates {
        latitude: degrees(latitude, 90.0)?,
        longitude: degrees(longitude, 180.0)?,
    })
}

/// Room for the head of most requests and responses.
const LIKELY_BYTES: usize = 512;
/// Room for the headers of most requests and responses.
const LIKELY_HEADERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_line_by_line() {
        let head = RequestHead::parse("POST\nhttps://x/v1/models?a=b\nFRA\n50.1\n8.7\nhost\nx\nempty\n\nname\nä\n");
        assert_eq!((head.method, head.uri.path()), (Method::POST, "/v1/models"));
        assert_eq!(head.location.code, "FRA");
        assert_eq!(head.location.coordinates.map(|there| there.longitude), Some(8.7));
        assert_eq!(head.headers.len(), 3);
        assert_eq!(head.headers["empty"], "");
        assert_eq!(head.headers["name"].as_bytes(), "ä".as_bytes());
    }

    #[test]
    fn what_is_missing_or_unreadable_is_left_out() {
        let head = RequestHead::parse("GET\nhttps://x/\n\n91\n8.7\nno name\nx\ngood\n1\n");
        assert_eq!(head.location, Location::default());
        assert_eq!(
            head.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["good"]
        );
        assert_eq!(RequestHead::parse("GET\nhttp://x y/").uri.path(), "/unreadable");
    }

    #[test]
    fn a_head_written_is_a_head_read() {
        let mut headers = HeaderMap::new();
        headers.append("a", HeaderValue::from_static("1"));
        headers.append("a", HeaderValue::from_static("2"));
        let (status, read) = parse_response(&text("429", &headers));
        assert_eq!((status, read), (StatusCode::TOO_MANY_REQUESTS, headers));
    }
}
