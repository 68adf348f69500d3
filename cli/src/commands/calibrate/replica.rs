//! One replica as a client sees it: streams of completions, and when their tokens come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, Uri};
use serde_json::{Value, json};
use tidegate_core::api::{Decoder, EventTooLarge};
use tidegate_core::platform::SendError;
use tidegate_native::{Client, ClientTls, Outbox, UpstreamBody};
use tokio::time::timeout;

use crate::failure::Failure;

/// A replica and how to reach it.
#[derive(Debug)]
pub struct Replica {
    client: Client,
    url: String,
    bearer: Option<HeaderValue>,
}

/// How an answer came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// Tokens of the prompt, as the engine counts them.
    pub prompt_tokens: u64,
    /// Those that it had in memory; `None` where it does not tell.
    pub cached_tokens: Option<u64>,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// From the request to the first event with text.
    pub first: Duration,
    /// From the request to the last event with text.
    pub last: Duration,
}

impl Replica {
    /// The replica at that base URL. To be made on the thread that uses it, within a `LocalSet`.
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

    /// What a page says; `None` where there is none.
    pub async fn page(&self, path: &str) -> Option<String> {
        let answer = timeout(PAGE_WITHIN, self.send(Method::GET, path, None))
            .await
            .ok()?
            .ok()?;
        if !answer.status().is_success() {
            return None;
        }
        timeout(PAGE_WITHIN, text(answer)).await.ok()?.ok()
    }

    /// The first model that it lists, and the longest context of that where it tells.
    ///
    /// # Errors
    /// When it lists none.
    pub async fn model(&self) -> Result<(String, Option<u64>), Failure> {
        let listed = async {
            let answer = self.send(Method::GET, "/v1/models", None).await?;
            Ok::<_, Failure>((answer.status(), text(answer).await?))
        };
        let (status, text) = timeout(PAGE_WITHIN, listed).await.map_err(|_| self.silent())??;
        let list: Value = serde_json::from_str(&text).unwrap_or_default();
        let first = &list["data"][0];
        let context = first["max_model_len"].as_u64().or(first["meta"]["n_ctx"].as_u64());
        let name = first["id"].as_str().map(str::to_owned);
        let nothing = || {
            Failure::failed(format!(
                "{}/v1/models lists no model: {status} {}",
                self.url,
                short(&text)
            ))
        };
        Ok((name.ok_or_else(nothing)?, context))
    }

    /// Generates exactly so many tokens after a prompt.
    ///
    /// # Errors
    /// When the replica refuses, or its answer breaks off.
    pub async fn generate(&self, model: &str, prompt: &str, tokens: u32) -> Result<Timing, Failure> {
        let answered = timeout(ANSWER_WITHIN, self.answer(model, prompt, tokens)).await;
        answered.map_err(|_| self.silent())?
    }

    fn silent(&self) -> Failure {
        Failure::failed(format!("{} does not answer in time", self.url))
    }

    async fn answer(&self, model: &str, prompt: &str, tokens: u32) -> Result<Timing, Failure> {
        let body = json!({
            "model": model, "prompt": prompt, "max_tokens": tokens, "ignore_eos": true, "temperature": 0,
            "stream": true, "stream_options": {"include_usage": true},
        });
        let begun = Instant::now();
        let answer = self.send(Method::POST, "/v1/completions", Some(&body)).await?;
        let status = answer.status();
        if !status.is_success() {
            let text = text(answer).await?;
            return Err(Failure::failed(format!(
                "{} answers {status}: {}",
                self.url,
                short(&text)
            )));
        }
        let mut timing = Timing::default();
        let mut events = 0;
        let mut decoder = Decoder::new(MOST_BYTES);
        let mut body = answer.into_body();
        while let Some(piece) = body.next().await {
            decoder.push(&piece.map_err(Failure::failed)?);
            let too_large = |EventTooLarge| Failure::failed(format!("{} sends an event without end", self.url));
            while let Some(event) = decoder.next_event().map_err(too_large)? {
                events += u64::from(timing.on_event(&event.data, begun.elapsed())?);
            }
        }
        if events == 0 {
            return Err(Failure::failed(format!("{} answered without a token", self.url)));
        }
        timing.output_tokens = timing.output_tokens.max(events);
        Ok(timing)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<UpstreamBody>, Failure> {
        let url = format!("{}{path}", self.url);
        let uri: Uri = url.parse().map_err(|error| Failure::usage(format!("{url}: {error}")))?;
        let mut request = Request::new(Bytes::from(body.map(Value::to_string).unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(bearer) = &self.bearer {
            headers.insert(AUTHORIZATION, bearer.clone());
        }
        let sent = match self.client.send(request.clone(), CONNECT_WITHIN).await {
            // A kept connection that the engine has closed.
            Err(SendError::Lost(_)) => self.client.send(request, CONNECT_WITHIN).await,
            sent => sent,
        };
        sent.map_err(|error| Failure::failed(format!("{}: {error}", self.url)))
    }
}

impl Timing {
    /// What an event of the stream says; tells whether it is one with a token.
    fn on_event(&mut self, data: &[u8], after: Duration) -> Result<bool, Failure> {
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            return Ok(false);
        };
        if !event["error"].is_null() {
            return Err(Failure::failed(format!(
                "an error within the answer: {}",
                short(&event["error"].to_string())
            )));
        }
        let usage = &event["usage"];
        if let Some(prompt) = usage["prompt_tokens"].as_u64() {
            self.prompt_tokens = prompt;
            self.output_tokens = usage["completion_tokens"].as_u64().unwrap_or_default();
            self.cached_tokens = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
        }
        let is_token = event["choices"][0]["text"].is_string();
        if is_token {
            self.last = after;
            if self.first.is_zero() {
                self.first = after;
            }
        }
        Ok(is_token)
    }
}

async fn text(answer: Response<UpstreamBody>) -> Result<String, Failure> {
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
fn short(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(300)
        .collect()
}

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const PAGE_WITHIN: Duration = Duration::from_secs(5);
/// For the longest prompt at a slow replica.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
const MOST_BYTES: usize = 4 << 20;
