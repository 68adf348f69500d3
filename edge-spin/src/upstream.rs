//! Requests to engines.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::future::{Either, select};
use http::header::CONTENT_LENGTH;
use http::{Response, StatusCode};
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{self, ErrorCode, RequestOptions};
use tidegate_core::platform::{SendError, UpstreamRequest};

use crate::body::{IncomingBody, Message, OutgoingBody};
use crate::http::{content_length, headers_in, headers_out};
use crate::tasks;

/// The body of an engine's answer. Dropping it closes the connection if it has not ended.
pub(crate) struct UpstreamBody(IncomingBody);

impl UpstreamBody {
    /// The answer has begun.
    pub(crate) fn on_begun(&mut self) {
        self.0.on_begun();
    }
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, SendError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.0).poll_next(context);
        next.map(|next| next.map(|piece| piece.map_err(|error| SendError::Broken(error.to_string()))))
    }
}

/// Sends a request and waits for the head of the answer. The body is written meanwhile.
pub(crate) async fn send(upstream: UpstreamRequest) -> Result<Response<UpstreamBody>, SendError> {
    let (parts, body) = upstream.request.into_parts();
    let (outgoing, request) = request_out(parts, body.len(), upstream.connect_timeout).map_err(send_error)?;
    let answer = pin!(client::send(request));
    let response = match select(answer, Box::pin(outgoing.send(body))).await {
        Either::Left((response, writing)) => {
            // An engine may answer before it has read everything.
            tasks::spawn(writing);
            response
        }
        Either::Right(((), answer)) => answer.await,
    };
    Ok(response_in(response.map_err(send_error)?, upstream.hold_back))
}

fn request_out(
    mut parts: http::request::Parts,
    length: usize,
    connect: Duration,
) -> Result<(OutgoingBody, types::Request), ErrorCode> {
    parts.headers.insert(CONTENT_LENGTH, length.into());
    let headers = headers_out(&parts.headers)?;
    let (outgoing, bytes_reader, end_reader) = OutgoingBody::new();
    let options = RequestOptions::new();
    // A host that does not support it keeps its own limit.
    let _ = options.set_connect_timeout(Some(connect.as_nanos().try_into().unwrap_or(u64::MAX)));
    let (request, _transmitted) = types::Request::new(headers, Some(bytes_reader), end_reader, Some(options));
    request
        .set_method(&parts.method.into())
        .map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    let uri_invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request
        .set_scheme(parts.uri.scheme().map(Into::into).as_ref())
        .map_err(uri_invalid)?;
    request
        .set_authority(parts.uri.authority().map(http::uri::Authority::as_str))
        .map_err(uri_invalid)?;
    let path = parts.uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    request.set_path_with_query(path).map_err(uri_invalid)?;
    Ok((outgoing, request))
}

fn response_in(response: types::Response, hold_back: Duration) -> Response<UpstreamBody> {
    let status = StatusCode::from_u16(response.get_status_code()).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = headers_in(&response.get_headers());
    let body = IncomingBody::new(Message::Response(response), content_length(&headers), hold_back);
    let mut converted = Response::new(UpstreamBody(body));
    *converted.status_mut() = status;
    *converted.headers_mut() = headers;
    converted
}

/// How far the request got, from the host's word for what went wrong.
fn send_error(error: ErrorCode) -> SendError {
    let detail = error.to_string();
    let never_connected = matches!(
        error,
        ErrorCode::DnsTimeout
            | ErrorCode::DnsError(_)
            | ErrorCode::DestinationNotFound
            | ErrorCode::DestinationUnavailable
            | ErrorCode::DestinationIpProhibited
            | ErrorCode::DestinationIpUnroutable
            | ErrorCode::ConnectionRefused
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionLimitReached
            | ErrorCode::TlsProtocolError
            | ErrorCode::TlsCertificateError
            | ErrorCode::TlsAlertReceived(_)
            | ErrorCode::HttpRequestDenied
    );
    // Hosts keep connections, and do not say whether one of them was used; hyper's word for one that was closed before an
    // answer is that the protocol was broken.
    let was_lost = matches!(
        error,
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete | ErrorCode::HttpProtocolError
    );
    if never_connected {
        SendError::Connect(detail)
    } else if was_lost {
        SendError::Lost(detail)
    } else {
        SendError::Broken(detail)
    }
}
