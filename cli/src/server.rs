//! A server that a command asks: a replica or a gateway, by its base URL and a bearer token.

use std::env;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, Uri};
use serde_json::Value;
use tidegate_core::platform::SendError;
use tidegate_native::{Client, ClientTls, Outbox, UpstreamBody};
use tokio::runtime;
use tokio::task::LocalSet;

use crate::failure::Failure;

/// A server and how to reach it.
#[derive(Debug)]
pub struct Server {
    client: Client,
    /// Its base URL, without a trailing slash.
    pub url: String,
    bearer: Option<HeaderValue>,
}

impl Server {
    /// The server at that base URL. To be made on the thread that uses it, within [`block_on`].
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub fn new(url: &str, bearer: Option<&str>) -> Result<Self, Failure> {
        let bearer = bearer.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"));
            if let Ok(value) = &mut value {
                value.set_sensitive(true);
            }
            value
        });
        let bearer = bearer.transpose();
        Ok(Self {
            client: Client::new(Arc::new(ClientTls::default()), Outbox::start()),
            url: url.trim_end_matches('/').to_owned(),
            bearer: bearer.map_err(|_| Failure::usage("the token holds what cannot stand in a header"))?,
        })
    }

    /// The response's head; what comes behind it is read with [`text`] or as it comes.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        self.send_text(method, path, body.map(Value::to_string)).await
    }

    /// The same with a body as it is written.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn send_text(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let url = format!("{}{path}", self.url);
        let uri: Uri = url.parse().map_err(|error| Failure::usage(format!("{url}: {error}")))?;
        let mut request = Request::new(Bytes::from(body.unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(bearer) = &self.bearer {
            headers.insert(AUTHORIZATION, bearer.clone());
        }
        let sent = match self.client.send(request.clone(), CONNECT_WITHIN).await {
            // A kept connection that the server has closed.
            Err(SendError::Lost(_)) => self.client.send(request, CONNECT_WITHIN).await,
            sent => sent,
        };
        sent.map_err(|error| Failure::failed(format!("{}: {error}", self.url)))
    }
}

/// The token that an environment variable holds.
///
/// # Errors
/// When it is not set.
pub fn token(variable: &str) -> Result<String, Failure> {
    env::var(variable).map_err(|_| Failure::usage(format!("the environment variable {variable} is not set")))
}

/// Runs what asks a server.
///
/// # Errors
/// As `work`, and when the system gives no thread.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, work)
}

/// All of an answer.
///
/// # Errors
/// When it breaks off, or is absurdly large.
pub async fn text(answer: Response<UpstreamBody>) -> Result<String, Failure> {
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.map_err(Failure::failed)?);
        if bytes.len() > MOST_BYTES {
            return Err(Failure::failed("the page is too large"));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a server says, as far as it may stand in a message.
pub fn short(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(300)
        .collect()
}

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// No page is longer.
pub const MOST_BYTES: usize = 4 << 20;
