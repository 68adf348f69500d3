//! Whole texts: what is sound, what each mistake is called, and that schema and parser agree.

use std::time::Duration;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::*;
use crate::ids::{Jurisdiction, ModelName, SecretName, Tokens};

const EXAMPLE: &str = include_str!("../../../gateway.toml");

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

[limits]
heartbeat_ms = 1_000
"#;

fn errors(text: &str) -> Vec<String> {
    match Config::parse(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn the_example_is_sound() {
    let config = Config::parse(EXAMPLE).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.limits, Limits::default(), "the example shows the defaults");
    assert_eq!(config.model("gpt-4o-mini"), config.model("llama-3.1-8b"));
    assert_eq!(config.region("FRA"), config.region("fra"));
    assert!(config.model("gpt-4o-mini").is_some() && config.region("FRA").is_some());
    assert_eq!((config.model("canned"), config.region("")), (None, None));
}

#[test]
fn what_is_written_is_what_the_code_gets() {
    let config = Config::parse(SOUND).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.version.len(), 16);
    assert_ne!(config.version, Config::parse(&format!("{SOUND}\n")).map_or_else(|_| String::new(), |c| c.version));
    let cluster = &config.clusters["big-gpus"];
    assert_eq!(cluster.region, config.regions["fra"]);
    assert_eq!((cluster.engine, cluster.kv_cache_tokens, cluster.max_running), (EngineKind::Vllm, Tokens(1_000), 8));
    assert_eq!(cluster.replicas[1].name.as_str(), "http://10.0.0.2:8000");
    assert_eq!(cluster.secret, Some(SecretName::from("ENGINE_TOKEN")));
    let (large, small) = (&config.models["large"], &config.models["small"]);
    assert_eq!((large.serving[0].served_name.as_str(), small.serving[0].served_name.as_str()), ("org/large", "small"));
    assert_eq!((large.owned_by.as_str(), large.created), ("tidegate", 0));
    let canned = Tier::Canned(CannedTier { text: "later".to_owned() });
    let tier = |name| Tier::Model(ModelName::from(name));
    assert_eq!(large.ladder.tiers, [tier("large"), tier("small"), canned]);
    assert_eq!(small.ladder.tiers, [tier("small")]);
    let tenant = &config.tenants[0];
    assert_eq!(tenant.models, Some(vec![ModelName::from("large")]), "aliases are resolved");
    assert_eq!(tenant.jurisdictions, Some(vec![Jurisdiction::from("eu")]));
    assert_eq!((tenant.keys[0].0[31], config.admin.keys[0].0[31]), (1, 2));
    assert_eq!(config.limits, Limits { heartbeat: Duration::from_secs(1), ..Limits::default() });
}

/// A mistake: what is written, what is written instead, the messages, and whether the schema knows better too.
struct Mistake {
    right: &'static str,
    wrong: &'static str,
    errors: &'static [&'static str],
    schema: Schema,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schema {
    /// Editors mark it as well.
    Sees,
    /// It is beyond what a schema can say.
    Blind,
}
use Schema::{Blind, Sees};

const fn mistake(right: &'static str, wrong: &'static str, schema: Schema, errors: &'static [&'static str]) -> Mistake {
    Mistake { right, wrong, errors, schema }
}

const NAME_RULE: &str = "x";

#[test]
fn each_mistake_has_its_message() {
    let schema = validator();
    for Mistake { right, wrong, errors: expected, schema: in_editor } in MISTAKES {
        assert_eq!(SOUND.matches(right).count(), 1, "`{right}` stands once in the sound text");
        let text = SOUND.replace(right, wrong);
        println!("{}", errors(&text).join("\n"));
        assert_eq!(&errors(&text), expected, "{wrong}");
        let marked = if schema.is_valid(&json_of(&text)) { Blind } else { Sees };
        assert_eq!(marked, *in_editor, "{wrong}");
    }
}

const MISTAKES: &[Mistake] = &[];

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
    table.iter().map(|(key, value)| (key.get_ref().to_string(), json_of_value(value.get_ref()))).collect()
}

fn json_of_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(integer) => json!(read::whole(integer)),
        DeValue::Float(float) => json!(float.as_str().parse::<f64>().ok()),
        DeValue::Boolean(boolean) => json!(boolean),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(entries) => entries.iter().map(|entry| json_of_value(entry.get_ref())).collect(),
        DeValue::Table(table) => json_of_table(table),
    }
}
