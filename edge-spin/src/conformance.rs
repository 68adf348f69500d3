//! Serves the core's conformance suite.

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use http::{Request, Response, StatusCode};
use tidegate_core::Body;
use tidegate_core::conformance::{Options, run};

use crate::body::IncomingBody;
use crate::platform::SpinPlatform;

/// Runs the suite as the request's body asks, and answers with its report.
pub(crate) async fn serve(platform: SpinPlatform, request: Request<IncomingBody>) -> Response<Body> {
    let body: Result<BytesMut, _> = request.into_body().try_collect().await;
    let options = match body.map(|body| serde_json::from_slice::<Options>(&body)) {
        Ok(Ok(options)) => options,
        Ok(Err(error)) => return answer(StatusCode::BAD_REQUEST, error.to_string()),
        Err(error) => return answer(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match serde_json::to_string(&run(platform, &options).await) {
        Ok(report) => answer(StatusCode::OK, report),
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn answer(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::from(text)));
    *response.status_mut() = status;
    response
}
