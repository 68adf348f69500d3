//! Purging the response cache, for operators.

use std::borrow::Cow;
use std::collections::BTreeSet;

use http::Response;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::admin::Operator;
use super::clusters::written;
use crate::api::RequestError;
use crate::cache::{CacheKey, PurgeScope};
use crate::config::Config;
use crate::pipeline::body::Body;
use crate::pipeline::failure::Failure;
use crate::pipeline::response_cache::{self, Purged};
use crate::platform::Platform;

/// `DELETE /admin/v1/cache?tenant=…&model=…`, `?key=…` or `?all=1`: purges answers that are there by now.
///
/// # Errors
/// When nothing is named, or something that is not there, or the store does not take it.
pub(super) async fn purge<P: Platform>(operator: Operator<'_, P>, head: &Parts) -> Result<Response<Body>, Failure> {
    let exchange = operator.exchange;
    let purged = asked(&exchange.config, head.uri.query().unwrap_or_default())?;
    response_cache::purge(exchange, &purged).await?;
    let what = match &purged {
        Purged::Answer(key) => json!({"key": key.to_string()}),
        Purged::Scope(PurgeScope { tenant, model }) => json!({"tenant": tenant, "model": model}),
    };
    operator.on_changed("cache", &what.to_string(), "", "purged");
    Ok(written(
        &json!({"purged": what, "everywhere_within_s": EVERYWHERE_WITHIN_S}),
    ))
}

/// What a query asks to be purged.
fn asked(config: &Config, query: &str) -> Result<Purged, RequestError> {
    let wrong = |detail: &str| RequestError::WrongPurge {
        detail: detail.to_owned(),
    };
    let (mut scope, mut key, mut all) = (PurgeScope::default(), None, false);
    let mut named = BTreeSet::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !named.insert(name) {
            return Err(wrong("no parameter may stand twice"));
        }
        let value: Cow<'_, str> = percent_decode_str(value).decode_utf8_lossy();
        match name {
            "tenant" => {
                let mut tenants = config.tenants.iter();
                let tenant = tenants.find(|tenant| tenant.name.as_str() == value);
                let unknown = || RequestError::UnknownTenant {
                    asked: value.clone().into_owned(),
                };
                scope.tenant = Some(tenant.ok_or_else(unknown)?.name.clone());
            }
            "model" => {
                let unknown = || RequestError::UnknownModel {
                    model: value.clone().into_owned(),
                };
                scope.model = Some(config.model(&value).ok_or_else(unknown)?.name.clone());
            }
            "key" => {
                let read = CacheKey::parse(&value);
                key = Some(
                    read.ok_or_else(|| wrong("`key` must be 64 hexadecimal digits, as a request's record has it"))?,
                );
            }
            "all" if value == "1" => all = true,
            _ => return Err(wrong(EXPECTED)),
        }
    }
    let names_scope = scope != PurgeScope::default();
    match key {
        Some(key) if !names_scope && !all => Ok(Purged::Answer(key)),
        None if names_scope != all => Ok(Purged::Scope(scope)),
        Some(_) | None => Err(wrong(EXPECTED)),
    }
}

const EXPECTED: &str = "name `tenant`, `model` or both, or `key` alone, or `all=1` alone";
/// What Workers KV takes to show what was written, and as long as others remember an answer.
const EVERYWHERE_WITHIN_S: u64 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_names_one_thing_that_is_there() {
        let text = include_str!("../../../../gateway.toml");
        let config = Config::parse(text, None).expect("the example");
        let asked = |query: &str| super::asked(&config, query);
        let scope = |tenant: Option<&str>, model: Option<&str>| {
            Ok(Purged::Scope(PurgeScope {
                tenant: tenant.map(Into::into),
                model: model.map(Into::into),
            }))
        };
        assert_eq!(asked("tenant=acme"), scope(Some("acme"), None));
        assert_eq!(
            asked("model=qwen3%2D8b&tenant=acme"),
            scope(Some("acme"), Some("qwen3-8b"))
        );
        assert_eq!(asked("all=1"), scope(None, None));
        let key = "a0".repeat(32);
        assert_eq!(
            asked(&format!("key={key}")),
            Ok(Purged::Answer(CacheKey::parse(&key).expect("a key")))
        );
        for wrong in [
            "",
            "all=0",
            "key=1",
            "tenant=nobody",
            "model=none",
            "tenants=acme",
            "all=1&tenant=acme",
            "tenant=acme&tenant=acme",
            "model=qwen3-8b&tenant=acme&model=qwen3-32b",
            "all=1&all=1",
        ] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
        assert!(asked(&format!("key={key}&tenant=acme")).is_err());
    }
}
