//! The core's conformance suite over HTTP, for tests.

use futures::TryStreamExt;
use http::{Request, Response, StatusCode};
use tidegate_core::Body;
use tidegate_core::conformance::{Options, run};

use crate::http::RequestBody;
use crate::platform::CloudflarePlatform;

/// Runs the suite as the body says, and answers with its report.
pub(crate) async fn serve(platform: CloudflarePlatform, request: Request<RequestBody>) -> Response<Body> {
    let body: Vec<_> = request.into_body().try_collect().await.unwrap_or_default();
    match serde_json::from_slice::<Options>(&body.concat()) {
        Ok(options) => answer(
            StatusCode::OK,
            &serde_json::to_vec(&run(platform, &options).await).unwrap_or_default(),
        ),
        Err(error) => answer(StatusCode::BAD_REQUEST, error.to_string().as_bytes()),
    }
}

fn answer(status: StatusCode, body: &[u8]) -> Response<Body> {
    let mut response = Response::new(Body::Full(body.to_vec().into()));
    *response.status_mut() = status;
    response
}
