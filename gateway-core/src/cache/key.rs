//! Under which key an answer is kept: a hash over the tenant, the model and everything that is asked. No key can be made
//! without a tenant's scope, so that no two tenants' requests share one, whatever their clients send.

use std::fmt;

use sha2::{Digest, Sha256};

use super::canonical::{Form, write, written};
use crate::api::{AskedAs, Generation};
use crate::config::{Model, Tenant};
use crate::ids::TenantName;

/// Whose answers: those of one tenant of the configuration. There is no other way to one than a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantScope(TenantName);

impl TenantScope {
    /// The scope of that tenant.
    pub fn of(tenant: &Tenant) -> Self {
        Self(tenant.name.clone())
    }

    /// The tenant's name.
    pub fn tenant(&self) -> &TenantName {
        &self.0
    }
}

/// The key of an answer: the SHA-256 of what it answers. Clients choose what is hashed, so no weaker hash would do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The key of the answer to a request.
    pub fn of(scope: &TenantScope, model: &Model, request: &Generation) -> Self {
        let mut hasher = Self::hasher(scope, model, request);
        for (name, value) in sorted(request.parameters()) {
            parameter(&mut hasher, &name, value);
        }
        Self(hasher.finalize().into())
    }

    /// The key of the embedding of one of a request's inputs, as it is written: that of any request for it.
    pub fn of_input(scope: &TenantScope, model: &Model, request: &Generation, input: &str) -> Self {
        let mut hasher = Self::hasher(scope, model, request);
        for (name, value) in sorted(request.parameters()) {
            let value = if name == INPUT { input } else { value };
            parameter(&mut hasher, &name, value);
        }
        Self(hasher.finalize().into())
    }

    fn hasher(scope: &TenantScope, model: &Model, request: &Generation) -> Sha256 {
        let mut hasher = Sha256::new();
        let form = match request.asked_as {
            AskedAs::Stream => "",
            // Such an answer has what a stream of it would not.
            AskedAs::Whole(_) => "whole",
        };
        for text in [
            CONTEXT,
            scope.0.as_str(),
            model.name.as_str(),
            request.endpoint.path(),
            form,
        ] {
            part(&mut hasher, text.as_bytes());
        }
        // What its engines call the model, and its versions: after a change of either it is another model.
        let mut served: Vec<_> = model
            .serving
            .iter()
            .map(|serving| (&serving.served_name, &serving.version))
            .collect();
        served.sort();
        served.dedup();
        hasher.update((served.len() as u64).to_le_bytes());
        for (name, version) in served {
            part(&mut hasher, name.as_bytes());
            part(
                &mut hasher,
                version.as_ref().map_or("", |version| version.as_str()).as_bytes(),
            );
        }
        hasher
    }

    /// The key that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        let mut key = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Self(key))
    }

    /// What the store has the answer by.
    pub fn store_key(&self) -> String {
        format!("answer/{self}")
    }
}

/// As 64 hexadecimal digits.
impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The parameters that change an answer, in the order of their names; several of one name stay in their order, and all of
/// them count, as engines differ in which of them they take.
fn sorted(parameters: Vec<(String, &str)>) -> Vec<(String, &str)> {
    let has_tools = parameters.iter().any(|(name, json)| name == "tools" && *json != "null");
    let mut sorted = parameters;
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let of_one_name = sorted.chunk_by(|(one, _), (other, _)| one == other);
    let counting = of_one_name.filter(|named| match named {
        [(name, json)] => counts(name, json, has_tools),
        several => several.iter().all(|(name, _)| !IGNORED.contains(&name.as_str())),
    });
    counting.flatten().cloned().collect()
}

fn counts(name: &str, json: &str, has_tools: bool) -> bool {
    if IGNORED.contains(&name) || (json == "null" && !is_unknown(name)) {
        return false;
    }
    let default = match name {
        "tool_choice" if has_tools => "\"auto\"",
        "tool_choice" => "\"none\"",
        _ => match DEFAULTS.iter().find(|(known, _)| *known == name) {
            Some((_, default)) => default,
            None => return true,
        },
    };
    written(json, Form::VALUES) != written(default, Form::VALUES)
}

/// What an unknown parameter means, also where it is null, its engine alone knows.
fn is_unknown(name: &str) -> bool {
    !STRUCTURED.contains(&name) && !SCALARS.contains(&name)
}

fn parameter(hasher: &mut Sha256, name: &str, json: &str) {
    part(hasher, name.as_bytes());
    let is_scalar = !json.starts_with(['{', '[']);
    let form = match name {
        _ if is_scalar => Form::VALUES,
        _ if DESCRIBED.contains(&name) => Form::Described,
        _ if STRUCTURED.contains(&name) => Form::VALUES,
        _ => Form::AsWritten,
    };
    write(json, form, &mut |piece| hasher.update(piece));
}

/// Lengths keep parts apart: ("ab", "c") is not ("a", "bc").
fn part(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// What is hashed first: the version of how keys are made.
const CONTEXT: &str = "tidegate answer 1";

/// The parameter that holds what is to be embedded.
const INPUT: &str = "input";

/// Parameters that do not change what a model says: how the answer is delivered (`stream`, `stream_options`), who asks for
/// whom and why (`user`, `safety_identifier`, `metadata`, `store`), and where a prefix may be kept. The model has been
/// found by its name already.
const IGNORED: [&str; 9] = [
    "model",
    "stream",
    "stream_options",
    "user",
    "safety_identifier",
    "metadata",
    "store",
    "prompt_cache_key",
    "prompt_cache_retention",
];

/// Parameters that the API defines, with members whose order says nothing.
const STRUCTURED: [&str; 12] = [
    "messages",
    "prompt",
    "input",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "response_format",
    "stop",
    "logit_bias",
    "modalities",
    "prediction",
];

/// Those of them that describe what is to be written, with schemas in them.
const DESCRIBED: [&str; 3] = ["tools", "functions", "response_format"];

/// Other parameters that the API defines: null is as if they were left out.
const SCALARS: [&str; 21] = [
    "temperature",
    "top_p",
    "n",
    "best_of",
    "seed",
    "max_tokens",
    "max_completion_tokens",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
    "echo",
    "suffix",
    "parallel_tool_calls",
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "encoding_format",
    "dimensions",
    "cache_salt",
    "audio",
];

/// What those are that a request leaves out, where that is so with every engine. Engines take temperature, `top_p` and
/// penalties from the model or the command line, and llama.cpp tells 20 log probabilities where others tell none: what is
/// left out there is another request than one that names a value.
const DEFAULTS: [(&str, &str); 7] = [
    ("n", "1"),
    ("logprobs", "false"),
    ("echo", "false"),
    ("stop", "[]"),
    ("logit_bias", "{}"),
    ("response_format", r#"{"type":"text"}"#),
    ("encoding_format", "\"float\""),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{Dialect, Endpoint};
    use crate::config::Config;

    const CONFIG: &str = r#"
regions = [{ name = "fra", latitude = 50, longitude = 8, jurisdiction = "eu" }]
clusters = [{ name = "c", region = "fra", engine = "vllm", replicas = ["http://a"], kv_cache_tokens = 1, prefill_tokens_per_s = 1, max_running = 1 }]
[[models]]
name = "m"
context_length = 9
serving = [{ cluster = "c", served_name = "org/m" }]
[[models]]
name = "n"
context_length = 9
serving = [{ cluster = "c", served_name = "org/m" }]
[[tenants]]
name = "acme"
cache_salt = "shared"
keys = ["sha256:0000000000000000000000000000000000000000000000000000000000000001"]
[[tenants]]
name = "other"
cache_salt = "shared"
keys = ["sha256:0000000000000000000000000000000000000000000000000000000000000002"]
"#;

    fn key_with(config: &str, (tenant, model): (usize, &str), endpoint: Endpoint, body: &str) -> CacheKey {
        let config = Config::parse(config, None).unwrap();
        let request = Dialect::decode(endpoint, body.to_owned().into(), 128).unwrap();
        CacheKey::of(
            &TenantScope::of(&config.tenants[tenant]),
            &config.models[model],
            &request,
        )
    }

    fn key(body: &str) -> CacheKey {
        key_with(CONFIG, (0, "m"), Endpoint::Chat, body)
    }

    fn chat() -> Value {
        json!({
            "model": "m", "temperature": 0, "seed": 7, "max_tokens": 16,
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}, "b": {}}}}}],
        })
    }

    fn with(name: &str, value: Value) -> String {
        let mut body = chat();
        body[name] = value;
        body.to_string()
    }

    #[test]
    fn tenants_models_endpoints_and_what_serves_a_model_have_keys_of_their_own() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"a"}],"prompt":"a"}"#;
        let chat = |config, of| key_with(config, of, Endpoint::Chat, body);
        let one = chat(CONFIG, (0, "m"));
        assert_eq!(one, chat(CONFIG, (0, "m")));
        let renamed = CONFIG.replacen("org/m", "org/m-v2", 1);
        let versioned = CONFIG.replacen("served_name = \"org/m\"", "served_name = \"org/m\", version = \"b\"", 1);
        for other in [
            chat(CONFIG, (1, "m")),
            chat(CONFIG, (0, "n")),
            chat(&renamed, (0, "m")),
            chat(&versioned, (0, "m")),
            key_with(CONFIG, (0, "m"), Endpoint::Completions, body),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(CacheKey::parse(&one.to_string()), Some(one));
        assert_eq!(CacheKey::parse("é"), None);
    }

    #[test]
    fn how_a_request_is_written_and_delivered_changes_nothing() {
        let one = key(&chat().to_string());
        let messages = r#""messages":[{"content":"be brief","role":"system"},{"content":[{"text":"h\u0069","type":"text"}],"role":"user"}]"#;
        let tools = r#""tools" : [{"function":{"parameters":{"properties":{"a":{},"b":{}},"type":"object"},"name":"f"},"type":"function"}]"#;
        let rewritten =
            format!(r#"{{"seed":7.0,{tools},"max_tokens":1.6e1,{messages},"temperature":0.0,"model":"alias"}}"#);
        assert_eq!(one, key(&rewritten));
        for (name, value) in [
            ("stream", json!(true)),
            ("stream_options", json!({"include_usage": true})),
            ("user", json!("u")),
            ("safety_identifier", json!("u")),
            ("metadata", json!({"a": "b"})),
            ("store", json!(true)),
            ("prompt_cache_key", json!("k")),
            ("n", json!(1)),
            ("logprobs", json!(false)),
            ("stop", json!([])),
            ("top_p", Value::Null),
            ("response_format", json!({"type": "text"})),
            ("tool_choice", json!("auto")),
        ] {
            let stream = json!({"stream": name == "stream_options"});
            let mut body: Value = serde_json::from_str(&with(name, value)).unwrap();
            if name == "stream_options" {
                body["stream"] = stream["stream"].clone();
            }
            assert_eq!(one, key(&body.to_string()), "{name}");
        }
    }

    #[test]
    fn whatever_changes_the_answer_changes_the_key() {
        let schema = |order: [&str; 2]| {
            format!(
                r#"{{"type":"json_schema","json_schema":{{"name":"s","schema":{{"properties":{{"{}":{{}},"{}":{{}}}}}}}}}}"#,
                order[0], order[1]
            )
        };
        let formats = [["a", "b"], ["b", "a"]].map(|order| {
            let bare = chat().to_string();
            format!(
                "{},\"response_format\":{}}}",
                bare.strip_suffix('}').unwrap(),
                schema(order)
            )
        });
        let mut bodies: Vec<String> = formats.to_vec();
        bodies.push(chat().to_string());
        for (name, value) in [
            ("temperature", json!(1)),
            ("temperature", Value::Null),
            ("top_p", json!(1)),
            ("top_p", json!(0.5)),
            ("frequency_penalty", json!(0)),
            ("seed", json!(8)),
            ("n", json!(2)),
            ("max_tokens", json!(17)),
            ("max_completion_tokens", json!(16)),
            ("logprobs", json!(true)),
            ("top_logprobs", json!(0)),
            ("stop", json!(["x"])),
            ("stop", json!("x")),
            ("logit_bias", json!({"1": 5})),
            ("response_format", json!({"type": "json_object"})),
            ("tool_choice", json!("none")),
            ("tool_choice", json!({"type": "function", "function": {"name": "f"}})),
            ("parallel_tool_calls", json!(false)),
            ("cache_salt", json!("own")),
            ("adapter", json!("lora")),
            ("adapter", Value::Null),
            ("reasoning_effort", json!("low")),
            ("tools", json!([])),
            ("messages", json!([{"role": "user", "content": "hi"}])),
            ("chat_template_kwargs", json!({"enable_thinking": false})),
            ("guided_choice", json!(["a", "b"])),
            ("guided_choice", json!(["b", "a"])),
        ] {
            bodies.push(with(name, value));
        }
        let keys: Vec<_> = bodies.iter().map(|body| key(body)).collect();
        for (index, one) in keys.iter().enumerate() {
            for (at, other) in keys.iter().enumerate().skip(index + 1) {
                assert_ne!(one, other, "{} {}", bodies[index], bodies[at]);
            }
        }
        // A whole answer with the prompt's log probabilities is none for a stream.
        let echo = |stream: bool| {
            let body = format!(r#"{{"model":"m","prompt":"a","echo":true,"stream":{stream}}}"#);
            key_with(CONFIG, (0, "m"), Endpoint::Completions, &body)
        };
        assert_ne!(echo(true), echo(false));
    }

    #[test]
    fn the_order_within_a_schema_counts_whatever_it_is_called() {
        let with = |more: &str| {
            let bare = chat().to_string();
            key(&format!("{},{more}}}", bare.strip_suffix('}').unwrap()))
        };
        for outer in [
            r#""response_format":{"type":"json_object","value":SCHEMA}"#,
            r#""response_format":{"type":"json_object","schema":SCHEMA}"#,
            r#""response_format":{"type":"json_schema","json_schema":{"name":"s","schema":SCHEMA}}"#,
            r#""response_format":{"type":"structural_tag","format":{"type":"json_schema","json_schema":SCHEMA}}"#,
            r#""functions":[{"name":"f","parameters":SCHEMA}]"#,
            r#""functions":[{"name":"f","input_schema":SCHEMA}]"#,
        ] {
            let of = |schema: &str| with(&outer.replace("SCHEMA", schema));
            let one = of(r#"{"properties":{"a":{},"b":{}}}"#);
            assert_ne!(one, of(r#"{"properties":{"b":{},"a":{}}}"#), "{outer}");
            assert_eq!(one, of(r#"{ "properties" : {"\u0061":{}, "b":{}} }"#), "{outer}");
        }
        assert_eq!(
            with(r#""response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{}}}"#),
            with(r#""response_format":{"json_schema":{"schema":{},"name":"s"},"type":"json_schema"}"#)
        );
    }

    #[test]
    fn a_parameter_that_stands_twice_counts_twice() {
        let twice = |first: &str, second: &str| {
            let bare = chat().to_string();
            key(&format!("{},{first},{second}}}", bare.strip_suffix('}').unwrap()))
        };
        for (named, default) in [
            (
                r#""response_format":{"type":"json_object"}"#,
                r#""response_format":{"type":"text"}"#,
            ),
            (r#""top_p":0.5"#, r#""top_p":null"#),
            (r#""stop":["x"]"#, r#""stop":[]"#),
            (r#""logit_bias":{"1":5}"#, r#""logit_bias":{}"#),
            (r#""tool_choice":"none""#, r#""tool_choice":"auto""#),
        ] {
            let bare = chat().to_string();
            let once = key(&format!("{},{named}}}", bare.strip_suffix('}').unwrap()));
            let keys = [once, key(&bare), twice(named, default), twice(default, named)];
            for (index, one) in keys.iter().enumerate() {
                assert!(!keys[index + 1..].contains(one), "{named} {default}");
            }
        }
        assert_eq!(twice(r#""user":"a""#, r#""user":"b""#), key(&chat().to_string()));
    }

    #[test]
    fn an_input_has_one_key_in_every_batch() {
        let config = Config::parse(CONFIG, None).unwrap();
        let of = |body: &str, input: &str| {
            let request = Dialect::decode(Endpoint::Embeddings, body.to_owned().into(), 32).unwrap();
            CacheKey::of_input(
                &TenantScope::of(&config.tenants[0]),
                &config.models["m"],
                &request,
                input,
            )
        };
        let one = of(r#"{"model":"m","input":"a"}"#, "\"a\"");
        assert_eq!(
            one,
            of(
                r#"{"model":"m","encoding_format":"float","input":["b","a"]}"#,
                "\"\\u0061\""
            )
        );
        assert_ne!(one, of(r#"{"model":"m","input":"a","dimensions":5}"#, "\"a\""));
        assert_ne!(
            one,
            of(r#"{"model":"m","input":"a","encoding_format":"base64"}"#, "\"a\"")
        );
        assert_ne!(one, of(r#"{"model":"m","input":[[1,2]]}"#, "[1,2]"));
    }

    proptest! {
        #[test]
        fn no_two_tenants_share_a_key_and_no_other_value_has_it(
            name in "[a-z_]{1,12}",
            one in any::<i64>(),
            other in any::<i64>(),
            text in "(?s).{0,12}",
            more in "(?s).{0,12}",
        ) {
            let of = |tenant, value: i64, text: &str| {
                let mut body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
                body[format!("x_{name}")] = json!(value);
                key_with(CONFIG, (tenant, "m"), Endpoint::Chat, &body.to_string())
            };
            let first = of(0, one, &text);
            prop_assert_ne!(first, of(1, one, &text));
            prop_assert_eq!(first == of(0, other, &more), one == other && text == more);
        }
    }
}
