//! The models that a key may ask for.

use std::sync::Arc;

use http::Response;
use http::request::Parts;

use crate::api::{Dialect, RequestError, model_item, model_list};
use crate::auth::authenticate;
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::response;
use crate::platform::Platform;

/// `GET /v1/models`: what the key may ask for.
pub(in crate::pipeline) fn list<P: Platform>(exchange: &Exchange<P>, head: &Parts) -> Result<Response<Body>, Failure> {
    let tenant = authenticate(&exchange.config, Dialect::default(), &head.headers)?.tenant;
    let models = exchange
        .config
        .models
        .values()
        .filter(|model| tenant.may_use(&model.name));
    Ok(response::json(model_list(models.map(Arc::as_ref))))
}

/// `GET /v1/models/{id}`.
pub(in crate::pipeline) fn one<P: Platform>(
    exchange: &Exchange<P>,
    head: &Parts,
    asked: &str,
) -> Result<Response<Body>, Failure> {
    let tenant = authenticate(&exchange.config, Dialect::default(), &head.headers)?.tenant;
    let asked = percent_encoding::percent_decode_str(asked).decode_utf8_lossy();
    match exchange
        .config
        .model(&asked)
        .filter(|model| tenant.may_use(&model.name))
    {
        Some(model) => Ok(response::json(model_item(model))),
        None => Err(RequestError::UnknownModel {
            model: asked.into_owned(),
        }
        .into()),
    }
}
