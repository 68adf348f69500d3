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
pub(super) fn list<P: Platform>(exchange: &Exchange<P>, head: &Parts) -> Response<Body> {
    let filter = filter(head.uri.query().unwrap_or_default());
    let records = exchange.gateway.records.with(|records| records.list(&filter));
    let lines = records.iter().map(|record| json!(record.get().line()));
    let body = json!({"requests": lines.collect::<Vec<_>>()});
    response::json(Bytes::from(body.to_string()))
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
fn filter(query: &str) -> Filter {
    let value = |name: &str| {
        let mut parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
        let (_, value) = parameters.find(|(found, _)| *found == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    Filter {
        // What is no status is that of no request.
        status: value("status").map(|status| status.parse().unwrap_or_default()),
        tenant: value("tenant"),
        cluster: value("cluster"),
    }
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
        assert_eq!(found, wanted);
        assert_eq!(filter(""), Filter::default());
        assert_eq!(filter("status=bad").status, Some(0));
    }
}
