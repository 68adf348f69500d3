//! Whole texts: what is sound, and what the code gets of it.

mod damage;
mod mistakes;
mod schema;

use std::time::Duration;

use jsonschema::Validator;
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::*;
use crate::ids::{Jurisdiction, ModelName, SecretName, TableName, Tokens};

const EXAMPLE: &str = include_str!("../../../../gateway.toml");

/// A sound text; the cases below replace a piece of it, and count its lines.
const SOUND: &str = r#"[[regions]]
name = "fra"
latitude = 50
longitude = 8.7
jurisdiction = "eu"

[[clusters]]
name = "big-gpus"
region = "fra"
engine = "vllm"
replicas = [
    "http://10.0.0.1:8000",
    "http://10.0.0.2:8000",
]
secret = "ENGINE_TOKEN"
kv_cache_tokens = 1_000
prefill_tokens_per_s = 9_000
max_running = 8

[[models]]
name = "large"
aliases = ["gpt"]
context_length = 4096
serving = [{ cluster = "big-gpus", served_name = "org/large" }]

[[models]]
name = "small"
context_length = 4096
serving = [{ cluster = "big-gpus" }]

[[ladders]]
model = "large"
tiers = ["small", { canned = "later" }]

[[tenants]]
name = "acme"
keys = ["sha256:0000000000000000000000000000000000000000000000000000000000000001"]
models = ["gpt"]
jurisdictions = ["eu"]

[admin]
keys = ["sha256:0000000000000000000000000000000000000000000000000000000000000002"]

[streams]
heartbeat_ms = 1_000
"#;

#[test]
fn the_example_is_sound() {
    let config = Config::parse(EXAMPLE, None).unwrap_or_else(|errors| panic!("{errors}"));
    let (without_settings, _) = EXAMPLE.split_once("\n[sizes]\n").expect("the first table of settings");
    let defaults = Config {
        version: config.version.clone(),
        ..Config::parse(without_settings, None).unwrap()
    };
    assert_eq!(config, defaults, "the example shows the defaults");
    assert_eq!(config.model("gpt-4o-mini"), config.model("qwen3-8b"));
    assert_eq!(config.region("FRA"), config.region("fra"));
    assert!(config.model("gpt-4o-mini").is_some() && config.region("FRA").is_some());
    assert_eq!((config.model("canned"), config.region("")), (None, None));
}

#[test]
fn a_bundled_configuration_is_the_one_that_was_read_or_refused() {
    for text in [EXAMPLE, SOUND] {
        let config = Config::parse(text, None).unwrap();
        let bundle = config.to_bundle().unwrap();
        assert_eq!(Config::from_bundle(&bundle), Ok(config));
        assert_eq!(Config::from_bundle(&bundle[1..]), Err(BundleError::NoBundle));
        for length in 16..bundle.len() {
            let cut = Config::from_bundle(&bundle[..length]);
            assert!(matches!(cut, Err(BundleError::Encoding(_))), "{length} bytes");
        }
    }
}

#[test]
fn a_table_that_the_deployment_does_not_carry_is_refused_with_those_it_has() {
    let text = SOUND.replace(
        "name = \"small\"\n",
        "name = \"small\"\ntokens = \"qwen3\"\nimage_tokens = 1_500\n",
    );
    let read = |tables: &[&str]| Config::parse(&text, Some(tables)).map_err(|errors| errors.to_string());
    let config = read(&["gpt-oss", "qwen3"]).unwrap();
    let (large, small) = (&config.models["large"], &config.models["small"]);
    assert_eq!((&large.tokens, &small.tokens), (&None, &Some(TableName::from("qwen3"))));
    assert_eq!(
        (large.part_tokens.image, small.part_tokens.image),
        (Tokens(1_024), Tokens(1_500))
    );
    let refusal = "gateway.toml:28: models[1].tokens: this deployment carries no table `qwen3`; it carries ";
    for (tables, rest) in [
        (&["gpt-oss", "llama"][..], "one of `gpt-oss`, `llama`"),
        (
            &[],
            "none: `tidegate tokens compile` makes one; leave `tokens` out, and prompts are counted by estimate",
        ),
    ] {
        assert_eq!(read(tables).unwrap_err(), format!("{refusal}{rest}"));
    }
    assert!(
        Config::parse(&text, None).is_ok(),
        "where it is not known which there are"
    );
}

#[test]
fn pages_of_any_origin_may_ask_where_none_are_listed() {
    let allowed = |origins: &str| {
        let text = format!("{SOUND}\n[cors]\n{origins}");
        let config = Config::parse(&text, None).unwrap_or_else(|errors| panic!("{errors}"));
        config.cors.allow_origins
    };
    assert_eq!(allowed(""), None);
    assert_eq!(allowed("allow_origins = [\"https://a.example\", \"*\"]"), None);
    assert_eq!(allowed("allow_origins = []"), Some(Vec::new()));
    let listed = Some(vec!["https://a.example".to_owned()]);
    assert_eq!(allowed("allow_origins = [\"https://a.example\"]"), listed);
}

#[test]
fn what_is_written_is_what_the_code_gets() {
    let config = Config::parse(SOUND, None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.version.len(), 16);
    assert_ne!(
        config.version,
        Config::parse(&format!("{SOUND}\n"), None).map_or_else(|_| String::new(), |c| c.version)
    );
    let cluster = &config.clusters["big-gpus"];
    assert_eq!(cluster.region, config.regions["fra"]);
    assert_eq!(
        (
            cluster.engine,
            cluster.policy.capacity.kv_tokens,
            cluster.policy.capacity.requests
        ),
        (EngineKind::Vllm, Tokens(1_000), 8)
    );
    assert_eq!(cluster.replicas[1].name.as_str(), "http://10.0.0.2:8000");
    assert_eq!(cluster.secret, Some(SecretName::from("ENGINE_TOKEN")));
    let (large, small) = (&config.models["large"], &config.models["small"]);
    assert_eq!(
        (
            large.serving[0].served_name.as_str(),
            small.serving[0].served_name.as_str()
        ),
        ("org/large", "small")
    );
    assert_eq!((large.owned_by.as_str(), large.created), ("tidegate", 0));
    assert_eq!(
        large.ladder.canned().map(Template::as_written).as_deref(),
        Some("later")
    );
    let tier = |name| Tier::Model(ModelName::from(name));
    assert_eq!(large.ladder.tiers[..2], [tier("large"), tier("small")]);
    assert_eq!(small.ladder.tiers, [tier("small")]);
    let tenant = &config.tenants[0];
    assert_eq!(
        tenant.models,
        Some(vec![ModelName::from("large")]),
        "aliases are resolved"
    );
    assert_eq!(tenant.jurisdictions, Some(vec![Jurisdiction::from("eu")]));
    assert_eq!((tenant.keys[0].digest.0[31], config.admin.keys[0].0[31]), (1, 2));
    assert_eq!(config.streams.heartbeat, Duration::from_secs(1));
}

fn errors(text: &str) -> Vec<String> {
    match Config::parse(text, None) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.to_string().lines().map(str::to_owned).collect(),
    }
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(&json_schema()).unwrap_or_default();
    jsonschema::draft7::new(&schema).unwrap_or_else(|error| panic!("not a schema: {error}"))
}

/// The text as the JSON that a schema speaks of.
fn json_of(text: &str) -> Value {
    let tree = DeTable::parse(text).unwrap_or_else(|error| panic!("{error}"));
    json_of_table(tree.get_ref())
}

fn json_of_table(table: &DeTable<'_>) -> Value {
    table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), json_of_value(value.get_ref())))
        .collect()
}

fn json_of_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(integer) => read::whole(integer).map_or(json!(f64::MAX), |whole| json!(whole)),
        DeValue::Float(float) => json!(float.as_str().parse::<f64>().ok()),
        DeValue::Boolean(boolean) => json!(boolean),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(entries) => entries.iter().map(|entry| json_of_value(entry.get_ref())).collect(),
        DeValue::Table(table) => json_of_table(table),
    }
}
