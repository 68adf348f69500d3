//! Canned texts, for operators.

use std::fmt::Display;

use bytes::Bytes;
use futures::Stream;
use http::Response;
use http::request::Parts;
use serde_json::json;

use super::admin::Operator;
use crate::config::{CannedAnswers, version};
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::intake::receive;
use crate::pipeline::maintain::publish_canned;
use crate::pipeline::response;
use crate::platform::Platform;

/// `GET /admin/v1/canned`: the document in force or, where there is none, one that says what the configuration does.
pub(super) fn read<P: Platform>(exchange: &Exchange<P>) -> Response<Body> {
    let document = exchange.gateway.canned.document();
    let of_config = || format!("{OF_CONFIG}{}", exchange.config.canned.to_document()).into();
    let text = document.map_or_else(of_config, |(text, _)| text);
    response::with_type(text, "application/toml")
}

/// `PUT /admin/v1/canned`: puts a document in force, in place of the configuration's texts, everywhere within the time that
/// `refresh.config_ms` and the store take. One that is wrong changes nothing, and everything that is wrong with it is told.
pub(super) async fn write<P, B, E>(operator: Operator<'_, P>, head: &Parts, body: B) -> Result<Response<Body>, Failure>
where
    P: Platform,
    B: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let exchange = operator.exchange;
    let text = receive(exchange, &head.headers, body).await?;
    let not_text = |_| Failure::Canned("the document is not UTF-8".to_owned());
    let written = std::str::from_utf8(&text).map_err(not_text)?;
    if written.trim().is_empty() {
        let message = "the document is empty: DELETE puts the configuration's texts in force again";
        return Err(Failure::Canned(message.to_owned()));
    }
    let checked = CannedAnswers::parse(written, Some(&exchange.config));
    let answers = checked.map_err(|errors| Failure::Canned(errors.to_string()))?;
    let version = version(written);
    publish(&operator, text, &version).await?;
    Ok(response::json(
        json!({"version": version, "texts": answers.len()}).to_string().into(),
    ))
}

/// `DELETE /admin/v1/canned`: the configuration's texts are in force again.
pub(super) async fn remove<P: Platform>(operator: Operator<'_, P>) -> Result<Response<Body>, Failure> {
    publish(&operator, Bytes::from_static(BLANK), NONE).await?;
    let texts = operator.exchange.config.canned.len();
    Ok(response::json(
        json!({"version": null, "texts": texts}).to_string().into(),
    ))
}

async fn publish<P: Platform>(operator: &Operator<'_, P>, text: Bytes, version: &str) -> Result<(), Failure> {
    let exchange = operator.exchange;
    let before = exchange.gateway.canned.document();
    publish_canned(&exchange.gateway, &exchange.platform, text).await?;
    let before = before.map_or_else(|| NONE.to_owned(), |(_, version)| version);
    operator.on_changed("canned", "", &before, version);
    Ok(())
}

/// What is told as the version where there is no document.
const NONE: &str = "none";
/// What stands in the store in place of a document: stores delete nothing, and some take what is empty for what is not there.
const BLANK: &[u8] = b"\n";
const OF_CONFIG: &str = "# The store holds no texts: these are the configuration's.\n";
