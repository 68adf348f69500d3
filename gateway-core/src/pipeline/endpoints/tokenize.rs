//! `POST /tokenize`: what a prompt takes of a model, for clients that want to know before they ask. It costs what a request
//! to generate costs that is refused once its prompt is counted.

use std::fmt::Display;
use std::rc::Rc;

use bytes::Bytes;
use futures::Stream;
use http::Response;
use http::request::Parts;

use crate::api::{Dialect, RequestError, TokenizeRequest, TokenizeResponse};
use crate::auth::authenticate;
use crate::config::Model;
use crate::ids::TenantName;
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::entrance::Entrance;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::{Encoded, check_headers, encode, enter, enter_of_model, receive_of};
use crate::pipeline::response;
use crate::platform::Platform;
use crate::tokens::{Estimator, Uncorrected, Unmeasured};

/// Answers a request to count.
pub(in crate::pipeline) async fn tokenize<P, B, E>(
    exchange: &Rc<Exchange<P>>,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let caller = authenticate(&exchange.config, Dialect::default(), &head.headers)?;
    check_headers(&exchange.config, Entrance::of(head), &head.headers)?;
    let mut reservation = enter(exchange, &caller, &head.headers).await?;
    let tenant = &caller.tenant;
    let on_body = |body: &[u8]| reservation.on_body(body.len());
    let received = receive_of(exchange, &tenant.name, &head.headers, body, on_body).await?;
    let body = &received.body;
    // It is settled so: as much work as a prompt that is counted and refused.
    reservation.on_body(body.len());
    let request = TokenizeRequest::decode(body, exchange.config.sizes.nesting)?;
    let model = exchange
        .config
        .model(&request.model)
        .filter(|model| tenant.may_use(&model.name));
    let Some(model) = model else {
        return Err(RequestError::UnknownModel { model: request.model }.into());
    };
    enter_of_model(&mut reservation, tenant, &model.name, &head.headers).await?;
    Ok(response::json(
        answer(exchange, &tenant.name, model, &request).await?.body(),
    ))
}

async fn answer<P: Platform>(
    exchange: &Exchange<P>,
    tenant: &TenantName,
    model: &Model,
    request: &TokenizeRequest<'_>,
) -> Result<TokenizeResponse, RequestError> {
    let tokenizer = exchange.tokenizer(model);
    let encoded = match tokenizer {
        Some(tokenizer) => Some(encode(exchange, tokenizer, &request.source).await),
        None => None,
    };
    match (tokenizer, encoded) {
        (Some(tokenizer), Some(Ok(Encoded { tokens, measured }))) => {
            let (prompt, basis) = measured.prompt(&model.part_tokens);
            let is_exact = basis.is_exact();
            let spell = || tokenizer.table().spellings(&tokens);
            Ok(TokenizeResponse {
                count: prompt,
                max_model_len: model.context_length,
                token_strs: (is_exact && request.return_token_strs).then(spell),
                tokens: is_exact.then_some(tokens),
                estimated: !is_exact,
                error: None,
            })
        }
        (_, Some(Err(Unmeasured::Refused(message)))) => Err(RequestError::Template { message }),
        (_, Some(Err(_)) | None) | (None, Some(Ok(_))) => {
            Ok(estimated(&exchange.estimator(model, tenant), model, request))
        }
    }
}

fn estimated(estimator: &Estimator, model: &Model, request: &TokenizeRequest<'_>) -> TokenizeResponse {
    let parts = request.prompt_json.iter().map(|json| json.as_bytes());
    let estimate = estimator.estimate(&Uncorrected::of_json(parts, None));
    TokenizeResponse {
        count: estimate.tokens,
        max_model_len: model.context_length,
        tokens: None,
        token_strs: None,
        estimated: true,
        error: estimate.error,
    }
}
