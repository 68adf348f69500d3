//! The configuration, for operators.

use std::fmt::Display;

use bytes::Bytes;
use futures::Stream;
use http::request::Parts;
use http::{HeaderValue, Response};
use serde_json::json;

use super::admin::Operator;
use crate::api::headers::X_CONFIG;
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::receive;
use crate::pipeline::maintain::publish_config;
use crate::pipeline::response;
use crate::platform::Platform;

/// `GET /admin/v1/config`: the text in force.
pub(super) fn read<P: Platform>(exchange: &Exchange<P>) -> Response<Body> {
    let mut response = response::with_type(exchange.gateway.active_config.text(), "application/toml");
    if let Ok(version) = HeaderValue::from_str(&exchange.config.version) {
        response.headers_mut().insert(X_CONFIG, version);
    }
    response
}

/// `PUT /admin/v1/config`: puts a configuration in force, everywhere within the time that `refresh.config_ms` and the
/// store take. One that is wrong changes nothing, and everything that is wrong with it is told. One without an admin key
/// would be the last that is taken: it has to be asked for.
pub(super) async fn write<P, B, E>(operator: Operator<'_, P>, head: &Parts, body: B) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let exchange = operator.exchange;
    let text = receive(exchange, &head.headers, body).await?;
    let not_text = |_| Failure::Config("the configuration is not UTF-8".to_owned());
    let gateway = &exchange.gateway;
    let config = gateway.check_config(std::str::from_utf8(&text).map_err(not_text)?);
    let config = config.map_err(|errors| Failure::Config(errors.to_string()))?;
    if config.admin.keys.is_empty() && !is_asked_for(WITHOUT_ADMIN, head) {
        return Err(Failure::Config(format!(
            "this configuration has no admin key: nobody could read or replace it here, and `/metrics` would be open; if \
             that is meant, put it to /admin/v1/config?{WITHOUT_ADMIN}"
        )));
    }
    publish_config(gateway, &exchange.platform, text).await?;
    operator.on_changed("config", "", &exchange.config.version, &config.version);
    Ok(response::json(json!({"version": config.version}).to_string().into()))
}

fn is_asked_for(parameter: &str, head: &Parts) -> bool {
    let mut parameters = head.uri.query().unwrap_or_default().split('&');
    parameters.any(|asked| asked == parameter)
}

/// Says that a configuration is meant to have no admin key.
const WITHOUT_ADMIN: &str = "without-admin=1";
