//! Who answered is always told, in headers or, where those have gone out already, in a comment.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::api::comment;
use crate::api::headers::{X_CACHE, X_CLUSTER, X_MAX_TOKENS, X_MODEL, X_PROMPT_TOKENS, X_TIER};
use crate::ids::Tokens;
use crate::pipeline::dispatch::ServedBy;
use crate::pipeline::response::header_value;

impl ServedBy {
    /// Says so in headers.
    pub fn label(&self, headers: &mut HeaderMap) {
        headers.insert(X_CACHE, HeaderValue::from_static("bypass"));
        match self {
            Self::Engine {
                cluster,
                model,
                tier,
                prompt,
                is_exact,
                budgeted,
            } => {
                headers.insert(X_CLUSTER, header_value(cluster.as_str()));
                headers.insert(X_MODEL, header_value(model.as_str()));
                headers.insert(X_TIER, HeaderValue::from(*tier));
                headers.insert(X_PROMPT_TOKENS, prompt_tokens(*prompt, *is_exact));
                if let Some(Tokens(most)) = budgeted {
                    headers.insert(X_MAX_TOKENS, HeaderValue::from(*most));
                }
            }
            Self::Canned => {
                headers.insert(X_TIER, HeaderValue::from_static("canned"));
            }
        }
    }

    /// Says so in a comment: `: tidegate cache=bypass cluster=… model=… tier=… prompt_tokens=…`,
    /// and ` max_tokens=…` where budgets bound the answer.
    pub fn comment(&self) -> Bytes {
        match self {
            Self::Engine {
                cluster,
                model,
                tier,
                prompt,
                is_exact,
                budgeted,
            } => {
                let estimated = if *is_exact { "" } else { ESTIMATED };
                let most = budgeted.map_or(String::new(), |most| format!(" max_tokens={most}"));
                comment(&format!(
                    "tidegate cache=bypass cluster={cluster} model={model} tier={tier} prompt_tokens={prompt}{estimated}{most}"
                ))
            }
            Self::Canned => comment("tidegate cache=bypass tier=canned"),
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

const ESTIMATED: &str = ";estimated";
