//! One request's way: endpoint, body, record, faults, key, and then the answer.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::endpoints::{embeddings, info, metrics, sim, tokenize};
use super::error::ApiError;
use super::faults::DrawnFaults;
use super::generate;
use super::record::{Exchange, Outcome};
use super::reply::Reply;
use super::routes::{ClientEndpoint, Endpoint, OperatorEndpoint, find};
use super::shared::Shared;
use super::strike::{NoAnswer, strike};

/// Largest request body, in bytes.
const BODY_LIMIT: usize = 64 << 20;

/// Answers one request, or closes its connection.
pub(super) async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Reply, NoAnswer> {
    let (parts, body) = request.into_parts();
    let endpoint = match find(&parts) {
        Ok(endpoint) => endpoint,
        Err(error) => return Ok(error.reply()),
    };
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Ok(ApiError::TooLarge { limit: BODY_LIMIT }.reply()),
        Err(_) => return Err(NoAnswer),
    };
    let drawn = shared.faults.draw(parts.uri.path(), &body);
    match endpoint {
        Endpoint::Operator(endpoint) => {
            let answered = match strike(&shared, &parts, &drawn).await? {
                Some(error) => Err(error),
                None => answer_operator(&shared, endpoint, &parts, &body),
            };
            Ok(answered.unwrap_or_else(|error| error.reply()))
        }
        Endpoint::Client(endpoint) => {
            let exchange = shared.records.begin(parts, body);
            answer_recorded(&shared, endpoint, exchange, drawn).await
        }
    }
}

/// Answers, and sees to it that the record says how that ended. Dropped early, the exchange says so itself.
async fn answer_recorded(
    shared: &Arc<Shared>,
    endpoint: ClientEndpoint,
    exchange: Exchange,
    drawn: DrawnFaults,
) -> Result<Reply, NoAnswer> {
    let answered = match strike(shared, exchange.parts(), &drawn).await {
        Ok(None) => answer_client(shared, endpoint, &exchange, drawn).await,
        Ok(Some(error)) => Err(error),
        Err(no_answer) => {
            exchange.settle(Outcome::Failed);
            return Err(no_answer);
        }
    };
    Ok(match answered {
        Ok(mut reply) => {
            reply.body_mut().set_exchange(exchange);
            reply
        }
        Err(error) => {
            exchange.settle(Outcome::Failed);
            error.reply()
        }
    })
}

async fn answer_client(
    shared: &Arc<Shared>,
    endpoint: ClientEndpoint,
    exchange: &Exchange,
    drawn: DrawnFaults,
) -> Result<Reply, ApiError> {
    let parts = exchange.parts();
    authorize(shared, parts)?;
    check_content_type(parts)?;
    match endpoint {
        ClientEndpoint::Chat => generate::chat(shared, exchange, drawn).await,
        ClientEndpoint::Completion => generate::completion(shared, exchange, drawn).await,
        ClientEndpoint::Embeddings => embeddings::embeddings(shared, exchange, &drawn).await,
        ClientEndpoint::Models => Ok(info::models(shared)),
        ClientEndpoint::Tokenize => tokenize::tokenize(shared, exchange.body()),
        ClientEndpoint::Detokenize => tokenize::detokenize(shared, exchange.body()),
    }
}

fn answer_operator(
    shared: &Shared,
    endpoint: OperatorEndpoint,
    parts: &Parts,
    body: &Bytes,
) -> Result<Reply, ApiError> {
    match endpoint {
        OperatorEndpoint::Health => Ok(info::health(shared)),
        OperatorEndpoint::Version => Ok(info::version()),
        OperatorEndpoint::Load => Ok(info::load(shared)),
        OperatorEndpoint::Metrics => Ok(metrics::metrics(shared)),
        OperatorEndpoint::Faults => sim::faults(shared, &parts.method, body),
        OperatorEndpoint::Fault { id } => sim::remove_fault(shared, id),
        OperatorEndpoint::Requests => Ok(sim::requests(shared, parts)),
    }
}

/// vLLM guards `/v1` only.
fn authorize(shared: &Shared, parts: &Parts) -> Result<(), ApiError> {
    let Some(key) = shared
        .options
        .api_key
        .as_deref()
        .filter(|_| parts.uri.path().starts_with("/v1"))
    else {
        return Ok(());
    };
    let sent = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = sent.and_then(|sent| sent.strip_prefix("Bearer "));
    if token == Some(key) {
        Ok(())
    } else {
        Err(ApiError::Unauthorized)
    }
}

fn check_content_type(parts: &Parts) -> Result<(), ApiError> {
    let written = parts
        .headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.as_bytes().to_ascii_lowercase());
    let is_json = written.is_some_and(|written| written.starts_with(b"application/json"));
    if parts.method != Method::POST || is_json {
        Ok(())
    } else {
        Err(ApiError::NotJson)
    }
}
