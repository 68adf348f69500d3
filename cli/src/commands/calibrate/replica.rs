//! One replica as a client sees it: streams of completions, and when their tokens come.

use std::time::{Duration, Instant};

use futures::StreamExt;
use http::Method;
use serde_json::{Value, json};
use tidegate_core::api::{Decoder, EventTooLarge};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::server::{MOST_BYTES, Server, short, text};

/// A replica and how to reach it.
#[derive(Debug)]
pub struct Replica(Server);

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
        Server::new(url, bearer).map(Self)
    }

    /// What a page says; `None` where there is none.
    pub async fn page(&self, path: &str) -> Option<String> {
        let answer = timeout(PAGE_WITHIN, self.0.send(Method::GET, path, None))
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
            let answer = self.0.send(Method::GET, "/v1/models", None).await?;
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
                self.0.url,
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
        Failure::failed(format!("{} does not answer in time", self.0.url))
    }

    async fn answer(&self, model: &str, prompt: &str, tokens: u32) -> Result<Timing, Failure> {
        let body = json!({
            "model": model, "prompt": prompt, "max_tokens": tokens, "ignore_eos": true, "temperature": 0,
            "stream": true, "stream_options": {"include_usage": true},
        });
        let begun = Instant::now();
        let answer = self.0.send(Method::POST, "/v1/completions", Some(&body)).await?;
        let status = answer.status();
        if !status.is_success() {
            let text = text(answer).await?;
            return Err(Failure::failed(format!(
                "{} answers {status}: {}",
                self.0.url,
                short(&text)
            )));
        }
        let mut timing = Timing::default();
        let mut events = 0;
        let mut decoder = Decoder::new(MOST_BYTES);
        let mut body = answer.into_body();
        while let Some(piece) = body.next().await {
            decoder.push(&piece.map_err(Failure::failed)?);
            let too_large = |EventTooLarge| Failure::failed(format!("{} sends an event without end", self.0.url));
            while let Some(event) = decoder.next_event().map_err(too_large)? {
                events += u64::from(timing.on_event(&event.data, begun.elapsed())?);
            }
        }
        if events == 0 {
            return Err(Failure::failed(format!("{} answered without a token", self.0.url)));
        }
        timing.output_tokens = timing.output_tokens.max(events);
        Ok(timing)
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

const PAGE_WITHIN: Duration = Duration::from_secs(5);
/// For the longest prompt at a slow replica.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
