//! Headers between the runtime's type and the core's.

use http::{HeaderMap, HeaderName, HeaderValue};
use js_sys::{Array, JsString};
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::Headers;

/// The headers as the core takes them. What is no header to it is left out.
pub(crate) fn headers_in(headers: &Headers) -> Result<HeaderMap, JsValue> {
    let mut converted = HeaderMap::new();
    for entry in headers.entries() {
        let entry: Array = entry?.unchecked_into();
        let name = HeaderName::try_from(text(entry.get(0)));
        let value = HeaderValue::try_from(text(entry.get(1)));
        if let (Ok(name), Ok(value)) = (name, value) {
            converted.append(name, value);
        }
    }
    Ok(converted)
}

/// The headers as the runtime takes them.
pub(crate) fn headers_out(headers: &HeaderMap) -> Result<Headers, JsValue> {
    let converted = Headers::new()?;
    for (name, value) in headers {
        // Bytes beyond ASCII go out as they are: the runtime writes each character of a header as one byte.
        let value: String = value.as_bytes().iter().copied().map(char::from).collect();
        converted.append(name.as_str(), &value)?;
    }
    Ok(converted)
}

fn text(value: JsValue) -> String {
    String::from(value.unchecked_into::<JsString>())
}
