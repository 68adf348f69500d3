//! Chat and text completions: from the request to an answer, streamed or whole.
//!
//! [`plan`] decides everything that the answer will be, [`stream`] and [`whole`] give it out as the engine's time
//! allows, as [`render`] writes it.

mod chat;
mod completion;
mod content;
mod limits;
mod logprobs;
mod plan;
mod render;
mod shape;
mod stream;
mod tools;
mod whole;

use std::sync::Arc;

use self::plan::Plan;
use self::stream::Delivery;
use super::error::ApiError;
use super::faults::DrawnFaults;
use super::record::Exchange;
use super::reply::Reply;
use super::shared::Shared;
use super::wire::{GenerateRequest, decode};

/// `POST /v1/chat/completions`.
pub(super) async fn chat(shared: &Arc<Shared>, exchange: &Exchange, drawn: DrawnFaults) -> Result<Reply, ApiError> {
    let request: GenerateRequest = decode(exchange.body())?;
    limits::check_combinations(&request)?;
    let plan = chat::plan(shared, &request, &drawn, exchange)?;
    answer(shared, &request, plan, exchange, drawn).await
}

/// `POST /v1/completions`.
pub(super) async fn completion(
    shared: &Arc<Shared>,
    exchange: &Exchange,
    drawn: DrawnFaults,
) -> Result<Reply, ApiError> {
    let request: GenerateRequest = decode(exchange.body())?;
    limits::check_combinations(&request)?;
    let plan = completion::plan(shared, &request, &drawn, exchange)?;
    answer(shared, &request, plan, exchange, drawn).await
}

async fn answer(
    shared: &Arc<Shared>,
    request: &GenerateRequest,
    mut plan: Plan,
    exchange: &Exchange,
    drawn: DrawnFaults,
) -> Result<Reply, ApiError> {
    let ticket = shared.driver.submit(plan.take_works())?;
    if request.stream == Some(true) {
        let delivery = Delivery {
            options: request.stream_options.unwrap_or_default(),
            interval: shared.options.stream_interval,
        };
        Ok(stream::reply(plan, ticket, delivery, exchange, &drawn))
    } else {
        whole::reply(shared, plan, ticket, exchange, &drawn).await
    }
}
