//! Why requests went where they went, for operators: the latest ones, and one of them.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::api::RequestError;
use crate::explain::Filter;
use crate::ids::RequestId;
use crate::pipeline::body::Body;
use crate::pipeline::context::Exchange;
use crate::pipeline::failure::Failure;
use crate::pipeline::{records, response};
use crate::platform::Platform;

/// `GET /admin/v1/requests`: those that this process, isolate or instance has answered last, in a line each, the newest first.
/// `?status=`, `?tenant=` and `?cluster=` leave out others.
///
/// # Errors
/// When `status` is none.
pub(super) fn list<P: Platform>(exchange: &Exchange<P>, head: &Parts) -> Result<Response<Body>, Failure> {
    let filter = filter(head.uri.query().unwrap_or_default())?;
    let records = exchange.gateway.records.with(|records| records.list(&filter));
    let lines = records.iter().map(|record| json!(record.get().line()));
    let body = json!({"requests": lines.collect::<Vec<_>>()});
    Ok(response::json(Bytes::from(body.to_string())))
}

/// `GET /admin/v1/requests/REQUEST`: the record of one.
///
/// # Errors
/// When there is none, or none any more.
pub(super) async fn one<P: Platform>(exchange: &Exchange<P>, asked: &str) -> Result<Response<Body>, Failure> {
    let id = HeaderValue::from_str(asked).ok().and_then(|id| RequestId::parse(&id));
    let record = match id {
        Some(id) => records::find(exchange, &id).await,
        None => None,
    };
    let unknown = || RequestError::UnknownRequest {
        asked: asked.to_owned(),
    };
    Ok(response::json(record.ok_or_else(unknown)?))
}

/// What a query says; what it says otherwise is passed over.
fn filter(query: &str) -> Result<Filter, RequestError> {
    let value = |name: &str| {
        let mut parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
        let (_, value) = parameters.find(|(found, _)| *found == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    let status = |status: String| {
        let status: Option<u16> = status.parse().ok();
        let is_one = |status: &u16| (100..1_000).contains(status);
        status.filter(is_one).ok_or_else(|| RequestError::WrongQuestion {
            detail: "`status` must be a number of three digits, such as 503".to_owned(),
        })
    };
    Ok(Filter {
        status: value("status").map(status).transpose()?,
        tenant: value("tenant"),
        cluster: value("cluster"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_what_is_looked_for() {
        let text = |text: &str| Some(text.to_owned());
        let found = filter("status=503&cluster=fra%2Dlarge&other&tenant=acme");
        let wanted = Filter {
            status: Some(503),
            tenant: text("acme"),
            cluster: text("fra-large"),
        };
        assert_eq!(found, Ok(wanted));
        assert_eq!(filter(""), Ok(Filter::default()));
        for wrong in ["status=bad", "status=50", "status="] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
