//! Whether a request uses the cache: by the configuration, by what its client wishes, and by whether it would be answered
//! alike again.

use crate::api::{Endpoint, Generation, JsonCursor};
use crate::config::{CacheMode, CachePolicy};

/// What a client wishes of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheWish {
    /// It says nothing.
    #[default]
    Unsaid,
    /// To use it.
    Use,
    /// An answer of an engine, which is to be kept in place of the one before if the request uses the cache anyway.
    Reload,
    /// An answer of an engine, which is to be kept in place of the one before.
    Refresh,
    /// To have nothing to do with it.
    Bypass,
}

impl CacheWish {
    /// Those that clients can say, by name.
    pub const NAMED: [(&str, Self); 3] = [("use", Self::Use), ("refresh", Self::Refresh), ("bypass", Self::Bypass)];
}

/// How a request uses the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Not at all.
    Bypass,
    /// An answer that is kept may be given; else an engine's is kept.
    Cache,
    /// An engine's answer is kept.
    Refresh,
}

/// How a request uses the cache.
pub fn use_of(policy: CachePolicy, wish: CacheWish, request: &Generation) -> Use {
    let is_wanted = match (policy.mode, wish) {
        (CacheMode::Off, _)
        | (_, CacheWish::Bypass)
        | (CacheMode::OnRequest, CacheWish::Unsaid | CacheWish::Reload) => false,
        (CacheMode::OnRequest | CacheMode::Always, CacheWish::Use | CacheWish::Refresh)
        | (CacheMode::Always, CacheWish::Unsaid | CacheWish::Reload) => true,
    };
    if !is_wanted {
        return Use::Bypass;
    }
    let parameters = request.parameters();
    let is_alike = policy.any_temperature || is_deterministic(request.endpoint, &parameters);
    match wish {
        _ if !is_alike || !is_replayable(&parameters) => Use::Bypass,
        CacheWish::Refresh | CacheWish::Reload => Use::Refresh,
        CacheWish::Unsaid | CacheWish::Use | CacheWish::Bypass => Use::Cache,
    }
}

/// Whether engines are asked to answer alike each time.
fn is_deterministic(endpoint: Endpoint, parameters: &[(String, &str)]) -> bool {
    let given = |name: &str| {
        let mut named = parameters.iter().filter(|(known, _)| known == name);
        match (named.next(), named.next()) {
            (Some((_, json)), None) => Some(*json),
            _ => None,
        }
    };
    match endpoint {
        Endpoint::Embeddings => true,
        Endpoint::Chat | Endpoint::Completions => {
            let is_zero = given("temperature").and_then(|json| json.parse::<f64>().ok()) == Some(0.0);
            let has_seed = given("seed").is_some_and(|json| json.parse::<f64>().is_ok());
            is_zero && has_seed
        }
    }
}

/// Whether a stream of an answer that is kept could be what the request asks for: options for streams beyond those that the
/// gateway itself carries out are engines' own.
fn is_replayable(parameters: &[(String, &str)]) -> bool {
    let options = parameters.iter().filter(|(name, _)| name == "stream_options");
    options.map(|(_, json)| *json).all(|json| {
        let mut cursor = JsonCursor::new(json);
        if !cursor.enter(b'{') {
            return true;
        }
        while cursor.next() {
            let name = cursor.name();
            cursor.pass();
            if !["include_usage", "include_obfuscation"].contains(&name.as_ref()) {
                return false;
            }
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::Dialect;

    fn uses(mode: CacheMode, any_temperature: bool, wish: CacheWish, more: &str) -> Use {
        let policy = CachePolicy {
            mode,
            any_temperature,
            ttl: Duration::from_secs(60),
            stale: Duration::ZERO,
        };
        let body = format!(r#"{{"model":"m","prompt":"a"{more}}}"#);
        let request = Dialect::decode(Endpoint::Completions, body.into(), 32).unwrap();
        use_of(policy, wish, &request)
    }

    #[test]
    fn the_configuration_the_client_and_the_request_decide_together() {
        let alike = r#","temperature":0.0,"seed":1"#;
        let cases = [
            (CacheMode::Off, CacheWish::Use, Use::Bypass),
            (CacheMode::OnRequest, CacheWish::Unsaid, Use::Bypass),
            (CacheMode::OnRequest, CacheWish::Use, Use::Cache),
            (CacheMode::OnRequest, CacheWish::Refresh, Use::Refresh),
            (CacheMode::Always, CacheWish::Unsaid, Use::Cache),
            (CacheMode::Always, CacheWish::Bypass, Use::Bypass),
            (CacheMode::Always, CacheWish::Reload, Use::Refresh),
            (CacheMode::OnRequest, CacheWish::Reload, Use::Bypass),
        ];
        for (mode, wish, expected) in cases {
            assert_eq!(uses(mode, false, wish, alike), expected, "{mode:?} {wish:?}");
        }
        for (more, expected) in [
            ("", Use::Bypass),
            (r#","temperature":0"#, Use::Bypass),
            (r#","seed":1"#, Use::Bypass),
            (r#","temperature":0,"seed":null"#, Use::Bypass),
            (r#","temperature":0.1,"seed":1"#, Use::Bypass),
            (r#","temperature":0,"temperature":1,"seed":1"#, Use::Bypass),
            (r#","temperature":-0e5,"seed":1"#, Use::Cache),
        ] {
            assert_eq!(
                uses(CacheMode::Always, false, CacheWish::Unsaid, more),
                expected,
                "{more}"
            );
        }
        assert_eq!(uses(CacheMode::Always, true, CacheWish::Unsaid, ""), Use::Cache);
    }

    #[test]
    fn options_for_streams_that_only_engines_know_keep_a_request_out() {
        for (options, expected) in [
            (r#"{"include_usage":true}"#, Use::Cache),
            ("null", Use::Cache),
            (r#"{"continuous_usage_stats":true}"#, Use::Bypass),
        ] {
            let more = format!(r#","stream":true,"stream_options":{options}"#);
            assert_eq!(
                uses(CacheMode::Always, true, CacheWish::Unsaid, &more),
                expected,
                "{options}"
            );
        }
    }
}
