//! Who answered is always told, in headers or, where those have gone out already, in a comment.

use bytes::Bytes;
use http::header::AGE;
use http::{HeaderMap, HeaderValue};

use crate::api::comment;
use crate::api::headers::{
    X_CACHE, X_CACHED_TOKENS, X_CANNED, X_CLUSTER, X_MAX_TOKENS, X_MODEL, X_PROMPT_TOKENS, X_REPLICA, X_TIER, X_VERSION,
};
use crate::cache::CacheStatus;
use crate::ids::Tokens;
use crate::pipeline::dispatch::ServedBy;
use crate::pipeline::response::header_value;
use crate::pipeline::warmth::Visit;

impl ServedBy {
    /// Says so in headers.
    pub fn label(&self, headers: &mut HeaderMap) {
        headers.insert(X_CACHE, HeaderValue::from_static(self.cache().as_str()));
        match self {
            Self::Engine {
                cluster,
                model,
                tier,
                prompt,
                is_exact,
                budgeted,
                version,
                visit,
                cache: _,
            } => {
                headers.insert(X_CLUSTER, header_value(cluster.as_str()));
                headers.insert(X_MODEL, header_value(model.as_str()));
                headers.insert(X_TIER, HeaderValue::from(*tier));
                headers.insert(X_PROMPT_TOKENS, prompt_tokens(*prompt, *is_exact));
                if let Some(version) = version {
                    headers.insert(X_VERSION, header_value(&version.to_string()));
                }
                if let Some(visit) = visit {
                    headers.insert(X_REPLICA, header_value(&visit.id.to_string()));
                    headers.insert(X_CACHED_TOKENS, header_value(&cached_tokens(visit)));
                }
                if let Some(Tokens(most)) = budgeted {
                    headers.insert(X_MAX_TOKENS, HeaderValue::from(*most));
                }
            }
            Self::Cache { model, age, .. } => {
                headers.insert(AGE, HeaderValue::from(age.as_secs()));
                headers.insert(X_MODEL, header_value(model.as_str()));
            }
            Self::Canned(reason) => {
                headers.insert(X_TIER, HeaderValue::from_static("canned"));
                headers.insert(X_CANNED, HeaderValue::from_static(reason.as_str()));
            }
        }
    }

    /// Says so in a comment: `: tidegate cache=… cluster=… model=… tier=… prompt_tokens=… replica=…
    /// cached_tokens=…`, ` version=…` where the model has several, and ` max_tokens=…` where budgets bound the answer; of a
    /// canned answer `tier=canned canned=REASON`.
    pub fn comment(&self) -> Bytes {
        match self {
            Self::Engine {
                cluster,
                model,
                tier,
                prompt,
                is_exact,
                budgeted,
                version,
                visit,
                cache,
            } => {
                let cache = cache.as_str();
                let estimated = if *is_exact { "" } else { ESTIMATED };
                let place = visit.as_ref().map_or(String::new(), |visit| {
                    format!(" replica={} cached_tokens={}", visit.id, cached_tokens(visit))
                });
                let version = version
                    .as_ref()
                    .map_or(String::new(), |version| format!(" version={version}"));
                let most = budgeted.map_or(String::new(), |most| format!(" max_tokens={most}"));
                comment(&format!(
                    "tidegate cache={cache} cluster={cluster} model={model} tier={tier} prompt_tokens={prompt}{estimated}{version}{place}{most}"
                ))
            }
            Self::Canned(reason) => comment(&format!("tidegate cache=bypass tier=canned canned={}", reason.as_str())),
            Self::Cache { status, model, age } => comment(&format!(
                "tidegate cache={} model={model} age={}",
                status.as_str(),
                age.as_secs()
            )),
        }
    }

    fn cache(&self) -> CacheStatus {
        match self {
            Self::Engine { cache, .. } => *cache,
            Self::Cache { status, .. } => *status,
            Self::Canned(_) => CacheStatus::Bypass,
        }
    }
}

/// The count as an item of RFC 9651: an integer, with the parameter `estimated` unless it is exact.
fn prompt_tokens(prompt: Tokens, is_exact: bool) -> HeaderValue {
    if is_exact {
        HeaderValue::from(prompt.0)
    } else {
        header_value(&[itoa::Buffer::new().format(prompt.0), ESTIMATED].concat())
    }
}

/// How much was expected to be warm, and how much was, where the engine has told already.
fn cached_tokens(visit: &Visit) -> String {
    match visit.cached {
        Some(cached) => format!("{}/{cached}", visit.expected),
        None => visit.expected.to_string(),
    }
}

const ESTIMATED: &str = ";estimated";
