//! The names of headers that are not HTTP's own, and which of all headers pages of other origins may read.

use http::{HeaderName, HeaderValue};

/// The request's id, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// In how many milliseconds asking again may help; OpenAI's SDKs read it before `retry-after`.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// `false` has OpenAI's SDKs not ask again.
pub const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// How many requests a budget allows, how many are left, and when it is full again.
pub const RATE_REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
/// The same of tokens.
pub const RATE_TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
/// How long the gateway took; W3C's Server Timing.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// What every header of the gateway's own begins with.
pub const OWN_PREFIX: &str = "x-tidegate-";
/// By which a client names the lowest tier that it accepts.
pub const LOWEST_TIER: &str = "x-tidegate-lowest-tier";
/// Whether a cache answered; in a request, what its client wishes of it.
pub const X_CACHE: HeaderName = HeaderName::from_static("x-tidegate-cache");
/// Which cluster served.
pub const X_CLUSTER: HeaderName = HeaderName::from_static("x-tidegate-cluster");
/// Which model served, by its public name.
pub const X_MODEL: HeaderName = HeaderName::from_static("x-tidegate-model");
/// Which tier of the ladder served.
pub const X_TIER: HeaderName = HeaderName::from_static("x-tidegate-tier");
/// Why no engine answers, where a canned answer is given.
pub const X_CANNED: HeaderName = HeaderName::from_static("x-tidegate-canned");
/// How many tokens the prompt is.
pub const X_PROMPT_TOKENS: HeaderName = HeaderName::from_static("x-tidegate-prompt-tokens");
/// Which version of the model served, where it has several; with `;instead_of=` the request's own, where that could not.
pub const X_VERSION: HeaderName = HeaderName::from_static("x-tidegate-version");
/// Which replica served, by a name that does not tell its URL.
pub const X_REPLICA: HeaderName = HeaderName::from_static("x-tidegate-replica");
/// How many of the prompt's tokens were expected to be warm there and, where that is known by then, how many were.
pub const X_CACHED_TOKENS: HeaderName = HeaderName::from_static("x-tidegate-cached-tokens");
/// The bound on each answer's tokens that the tenant's budgets set, where it is the least.
pub const X_MAX_TOKENS: HeaderName = HeaderName::from_static("x-tidegate-max-tokens");
/// What the edge tells a region hop of an order, in JSON.
pub const X_ORDER: HeaderName = HeaderName::from_static("x-tidegate-order");
/// The edge's signature of an order.
pub const X_SIGNATURE: HeaderName = HeaderName::from_static("x-tidegate-signature");
/// What a region hop tells of an order that it carries out, in JSON.
pub const X_TOLD: HeaderName = HeaderName::from_static("x-tidegate-told");
/// `failed`: a region hop could not carry an order out; the body says why, in JSON.
pub const X_HOP: HeaderName = HeaderName::from_static("x-tidegate-hop");
/// Why a request did not wait for room, or no longer.
pub const X_DROPPED: HeaderName = HeaderName::from_static("x-tidegate-dropped");
/// What detectors have found in an answer, by their names.
pub const X_DETECTED: HeaderName = HeaderName::from_static("x-tidegate-detected");
/// The version of the configuration.
pub const X_CONFIG: HeaderName = HeaderName::from_static("x-tidegate-config");
/// `1` in a request: the response is to tell why it went where it went, and does so in the same header, in JSON.
pub const X_EXPLAIN: HeaderName = HeaderName::from_static("x-tidegate-explain");
/// An operator's key beside that of a client.
pub const X_ADMIN_KEY: HeaderName = HeaderName::from_static("x-tidegate-admin-key");
/// The headers of answers that a page of another origin may read, beyond those that every page may.
pub const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id, retry-after, retry-after-ms, x-should-retry, server-timing, x-ratelimit-limit-requests, \
     x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, \
     x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, x-tidegate-cache, x-tidegate-cluster, x-tidegate-replica, \
     x-tidegate-model, x-tidegate-version, x-tidegate-tier, x-tidegate-canned, x-tidegate-prompt-tokens, x-tidegate-cached-tokens, x-tidegate-max-tokens, \
     x-tidegate-detected, x-tidegate-dropped, x-tidegate-config, x-tidegate-explain, age",
);

#[cfg(test)]
mod tests {
    use http::header::{AGE, RETRY_AFTER};

    use super::*;

    #[test]
    fn every_header_of_an_answer_is_exposed() {
        let value = EXPOSED;
        let exposed: Vec<&str> = value.to_str().unwrap().split(", ").collect();
        let single = [
            X_REQUEST_ID,
            RETRY_AFTER,
            RETRY_AFTER_MS,
            X_SHOULD_RETRY,
            SERVER_TIMING,
            X_CACHE,
            X_CLUSTER,
            X_REPLICA,
            X_MODEL,
            X_VERSION,
            X_TIER,
            X_CANNED,
            X_PROMPT_TOKENS,
            X_CACHED_TOKENS,
            X_MAX_TOKENS,
            X_DETECTED,
            X_DROPPED,
            X_CONFIG,
            X_EXPLAIN,
            AGE,
        ];
        let all: Vec<_> = single.into_iter().chain(RATE_REQUESTS).chain(RATE_TOKENS).collect();
        for header in &all {
            assert!(exposed.contains(&header.as_str()), "{header}");
        }
        assert_eq!(exposed.len(), all.len());
    }
}
