//! Headers between the runtime's type and the core's.

use http::{HeaderMap, HeaderName, HeaderValue};
use worker::web_sys::Headers;

use crate::glue;

/// The headers as the core takes them. What is no header to it is left out.
pub(crate) fn headers_in(headers: &Headers) -> HeaderMap {
    let text = glue::headers_text(headers);
    let mut converted = HeaderMap::new();
    let mut lines = text.split('\n');
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            converted.append(name, value);
        }
    }
    converted
}

/// The headers as `glue.js` takes them.
pub(crate) fn headers_out(headers: &HeaderMap) -> String {
    let mut text = String::with_capacity(LIKELY_BYTES);
    for (name, value) in headers {
        text.push_str(name.as_str());
        text.push('\n');
        // The runtime reads and writes headers as UTF-8.
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push('\n');
    }
    text
}

/// Room for the headers of most requests and responses.
const LIKELY_BYTES: usize = 512;
