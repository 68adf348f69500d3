//! The core's conformance suite over HTTP, in builds made to be tested: `POST /conformance` with
//! `{"upstream": "http://…"}` runs it on this process's platform and answers with its report.

use bytes::Bytes;
use futures::TryStreamExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tidegate_core::Body;
use tidegate_core::conformance::{Options, run};

use crate::http::RequestBody;
use crate::platform::NativePlatform;

/// Whether this is a request for the suite.
pub fn is_asked_for<B>(request: &Request<B>) -> bool {
    request.method() == Method::POST && request.uri().path() == "/conformance"
}

/// Runs the suite.
pub async fn answer(platform: NativePlatform, request: Request<RequestBody>) -> Response<Body> {
    let (status, text) = match read_options(request).await {
        Ok(options) => match serde_json::to_vec(&run(platform, &options).await) {
            Ok(report) => (StatusCode::OK, report),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into()),
        },
        Err(error) => (StatusCode::BAD_REQUEST, error.into()),
    };
    let mut response = Response::new(Body::Full(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn read_options(request: Request<RequestBody>) -> Result<Options, String> {
    let pieces: Vec<Bytes> = request
        .into_body()
        .try_collect()
        .await
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&pieces.concat()).map_err(|error| error.to_string())
}
