//! The least that a pass-through on Spin can do, written the way the SDK suggests: the bench measures Tidegate as a
//! share of this. It forwards every request to the origin in the variable `upstream` and streams the answer back.

use std::sync::OnceLock;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use spin_sdk::http::{Error, Request, Response};
use spin_sdk::{http_service, variables};

static UPSTREAM: OnceLock<String> = OnceLock::new();

#[http_service]
async fn pass_through(request: Request) -> Result<Response, Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{}{path}", upstream().await?)
        .parse()
        .map_err(http::Error::from)?;
    for header in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        parts.headers.remove(header);
    }
    let mut response = spin_sdk::http::send(Request::from_parts(parts, body)).await?;
    for header in [CONNECTION, TRANSFER_ENCODING] {
        response.headers_mut().remove(header);
    }
    Ok(response)
}

/// The origin, asked for once per instance.
async fn upstream() -> Result<&'static str, Error> {
    if let Some(upstream) = UPSTREAM.get() {
        return Ok(upstream);
    }
    let upstream = variables::get("upstream")
        .await
        .map_err(|error| Error::other(error.to_string()))?;
    Ok(UPSTREAM.get_or_init(|| upstream))
}
