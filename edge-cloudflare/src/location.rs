//! Where a request came in.

use tidegate_core::route::{Coordinates, Location};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::web_sys::Request;

#[wasm_bindgen]
extern "C" {
    /// A request with what Cloudflare knows of it.
    type IncomingRequest;

    #[wasm_bindgen(method, getter)]
    fn cf(this: &IncomingRequest) -> Option<Cf>;

    /// What Cloudflare knows of a request; each field may be missing.
    type Cf;

    #[wasm_bindgen(method, getter)]
    fn colo(this: &Cf) -> Option<String>;

    #[wasm_bindgen(method, getter)]
    fn latitude(this: &Cf) -> Option<String>;

    #[wasm_bindgen(method, getter)]
    fn longitude(this: &Cf) -> Option<String>;
}

/// The data centre's code, and where the client is: next to it, as clients are sent to the nearest one.
pub(crate) fn location(request: &Request) -> Location {
    let request: &IncomingRequest = request.unchecked_ref();
    let Some(cf) = request.cf() else {
        return Location::default();
    };
    Location {
        code: cf.colo().unwrap_or_default(),
        coordinates: coordinates(&cf),
    }
}

fn coordinates(cf: &Cf) -> Option<Coordinates> {
    let degrees = |text: Option<String>, most: f64| text?.parse().ok().filter(|degrees: &f64| degrees.abs() <= most);
    Some(Coordinates {
        latitude: degrees(cf.latitude(), 90.0)?,
        longitude: degrees(cf.longitude(), 180.0)?,
    })
}
