//! The configuration, for operators.

use std::fmt::Display;

use bytes::Bytes;
use futures::Stream;
use http::request::Parts;
use http::{HeaderValue, Response};
use serde_json::json;

use crate::api::headers::X_CONFIG;
use crate::auth::authenticate_admin;
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::receive;
use crate::pipeline::maintain::publish_config;
use crate::pipeline::response;
use crate::platform::Platform;

/// `GET /admin/config`: the text in force.
pub(in crate::pipeline) fn read<P: Platform>(exchange: &Exchange<P>, head: &Parts) -> Result<Response<Body>, Failure> {
    authenticate_admin(&exchange.config.admin, &head.headers)?;
    let mut response = response::with_type(exchange.gateway.active_config.text(), "application/toml");
    if let Ok(version) = HeaderValue::from_str(&exchange.config.version) {
        response.headers_mut().insert(X_CONFIG, version);
    }
    Ok(response)
}

/// `PUT /admin/config`: puts a configuration in force, everywhere within the time that `refresh.config_ms` and the
/// store take. One that is wrong changes nothing, and everything that is wrong with it is told.
pub(in crate::pipeline) async fn write<P, B, E>(
    exchange: &Exchange<P>,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    authenticate_admin(&exchange.config.admin, &head.headers)?;
    let text = receive(&exchange.platform, &head.headers, body, &exchange.config).await?;
    let not_text = |_| Failure::Config("the configuration is not UTF-8".to_owned());
    let gateway = &exchange.gateway;
    let config = gateway.check_config(std::str::from_utf8(&text).map_err(not_text)?);
    let version = config.map_err(|errors| Failure::Config(errors.to_string()))?.version;
    publish_config(gateway, &exchange.platform, text).await?;
    Ok(response::json(json!({"version": version}).to_string().into()))
}
