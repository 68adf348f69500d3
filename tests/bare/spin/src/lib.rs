//! The least that a proxy on Spin can do, written the way the SDK suggests: the bench measures Tidegate as a share of
//! this. It forwards every request to the origin in the variable `upstream` and streams the answer back. Where the variable
//! `gather` is set, it reads all of a stream before it answers, with the end of it: the least that an answer costs which is
//! put together here.

use std::sync::OnceLock;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{self as spin, Error, IntoResponse};
use spin_sdk::wasip3::http::types::{Fields, Response};
use spin_sdk::wasip3::{self, wit_future, wit_stream};
use spin_sdk::{http_service, variables};

/// What the manifest says.
struct Variables {
    upstream: String,
    gather: bool,
}

static VARIABLES: OnceLock<Variables> = OnceLock::new();

#[http_service]
async fn proxy(request: spin::Request) -> Result<impl IntoResponse, Error> {
    let variables = variables().await?;
    let (mut parts, body) = request.into_parts();
    onward(&mut parts, &variables.upstream)?;
    let mut response = spin::send(http::Request::from_parts(parts, body)).await?;
    if variables.gather {
        let all = response.into_body().bytes().await?;
        return whole(&all[all.len().saturating_sub(WHOLE_BYTES)..]);
    }
    for header in [CONNECTION, TRANSFER_ENCODING] {
        response.headers_mut().remove(header);
    }
    Ok(response.into_response()?)
}

/// An answer of known length, as Tidegate's are.
fn whole(body: &[u8]) -> Result<Response, Error> {
    let length = (CONTENT_LENGTH.to_string(), body.len().to_string().into_bytes());
    let headers = Fields::from_list(&[length]).map_err(|error| Error::other(error.to_string()))?;
    let (mut bytes, bytes_reader) = wit_stream::new();
    let (end, end_reader) = wit_future::new(|| Ok(None));
    let (response, _transmitted) = Response::new(headers, Some(bytes_reader), end_reader);
    let body = body.to_vec();
    wasip3::spawn(async move {
        bytes.write_all(body).await;
        drop(bytes);
        // Who reads no more needs no end.
        let _ = end.write(Ok(None)).await;
    });
    Ok(response)
}

/// Turns the request to the origin, without what belongs to the connection that it came on.
fn onward(parts: &mut Parts, upstream: &str) -> Result<(), Error> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{upstream}{path}").parse().map_err(http::Error::from)?;
    for header in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        parts.headers.remove(header);
    }
    Ok(())
}

/// Asked for once per instance.
async fn variables() -> Result<&'static Variables, Error> {
    if let Some(variables) = VARIABLES.get() {
        return Ok(variables);
    }
    let value = async |name| {
        variables::get(name)
            .await
            .map_err(|error| Error::other(error.to_string()))
    };
    let (upstream, gather) = (value("upstream").await?, value("gather").await?);
    let gather = !gather.is_empty();
    Ok(VARIABLES.get_or_init(|| Variables { upstream, gather }))
}

/// What a whole answer of the bench's upstream takes, about.
const WHOLE_BYTES: usize = 600;
