//! Whole texts: what is sound, what each mistake is called, and that schema and parser agree.

use std::collections::BTreeSet;
use std::time::Duration;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::*;
use crate::ids::{Jurisdiction, ModelName, SecretName, TableName, Tokens};

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

#[test]
fn the_example_is_sound() {
    let config = Config::parse(EXAMPLE, None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.limits, Limits::default(), "the example shows the defaults");
    assert_eq!(config.model("gpt-4o-mini"), config.model("qwen3-8b"));
    assert_eq!(config.region("FRA"), config.region("fra"));
    assert!(config.model("gpt-4o-mini").is_some() && config.region("FRA").is_some());
    assert_eq!((config.model("canned"), config.region("")), (None, None));
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
        (&[], "none: leave `tokens` out, and prompts are counted by estimate"),
    ] {
        assert_eq!(read(tables).unwrap_err(), format!("{refusal}{rest}"));
    }
    assert!(
        Config::parse(&text, None).is_ok(),
        "where it is not known which there are"
    );
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
        (cluster.engine, cluster.kv_cache_tokens, cluster.max_running),
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
    let canned = Tier::Canned(CannedTier {
        text: "later".to_owned(),
    });
    let tier = |name| Tier::Model(ModelName::from(name));
    assert_eq!(large.ladder.tiers, [tier("large"), tier("small"), canned]);
    assert_eq!(small.ladder.tiers, [tier("small")]);
    let tenant = &config.tenants[0];
    assert_eq!(
        tenant.models,
        Some(vec![ModelName::from("large")]),
        "aliases are resolved"
    );
    assert_eq!(tenant.jurisdictions, Some(vec![Jurisdiction::from("eu")]));
    assert_eq!((tenant.keys[0].digest.0[31], config.admin.keys[0].0[31]), (1, 2));
    assert_eq!(
        config.limits,
        Limits {
            heartbeat: Duration::from_secs(1),
            ..Limits::default()
        }
    );
}

#[test]
fn each_mistake_has_its_message() {
    let schema = validator();
    let mistakes: Vec<Mistake> = MISTAKES.split("\n\n").skip(1).map(Mistake::read).collect();
    assert!(mistakes.len() > 50, "{} mistakes", mistakes.len());
    for mistake in mistakes {
        let occurrences = SOUND.matches(&mistake.right).count();
        assert_eq!(occurrences, 1, "{}: stands once in the sound text", mistake.title);
        let text = SOUND.replace(&mistake.right, &mistake.wrong);
        assert_eq!(errors(&text), mistake.errors, "{}", mistake.title);
        assert_eq!(
            !schema.is_valid(&json_of(&text)),
            mistake.is_marked_in_editor,
            "{}",
            mistake.title
        );
    }
}

const MISTAKES: &str = include_str!("mistakes.txt");

/// A paragraph of `mistakes.txt`.
#[derive(Default)]
struct Mistake {
    title: String,
    is_marked_in_editor: bool,
    right: String,
    wrong: String,
    errors: Vec<String>,
}

impl Mistake {
    fn read(paragraph: &str) -> Self {
        let mut mistake = Self::default();
        for line in paragraph.lines() {
            let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
            match sign {
                "-" => mistake.right += &format!("\n{rest}"),
                "+" => mistake.wrong += &format!("\n{rest}"),
                "!" => mistake.errors.push(format!("gateway.toml:{rest}")),
                _ => {
                    mistake.is_marked_in_editor = sign == "editor:";
                    mistake.title = rest.to_owned();
                }
            }
        }
        mistake.right.push('\n');
        mistake.wrong.push('\n');
        mistake
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_lines() {
    let text = SOUND
        .replace("heartbeat_ms = 1_000", "heartbeat = 1")
        .replace("latitude = 50", "latitude = 500")
        .replace("region = \"fra\"", "region = \"far\"")
        .replace("secret = \"ENGINE_TOKEN\"", "secret = \"hunter2\"")
        .replace("context_length = 4096\nserving = [{ cluster = \"big-gpus\" }]", "")
        .replace("tiers = [\"small\"", "tiers = [7, \"large\"")
        .replace("models = [\"gpt\"]", "models = [\"gtp\"]");
    let errors: Vec<String> = errors(&text)
        .iter()
        .map(|error| before_third_colon(error).to_owned())
        .collect();
    let expected = [
        "gateway.toml:3: regions[0].latitude",
        "gateway.toml:9: clusters[0].region",
        "gateway.toml:15: clusters[0].secret",
        "gateway.toml:26: models[1].context_length",
        "gateway.toml:26: models[1].serving",
        "gateway.toml:32: ladders[0].tiers[0]",
        "gateway.toml:32: ladders[0].tiers[1]",
        "gateway.toml:37: tenants[0].models[0]",
        "gateway.toml:44: limits.heartbeat",
    ];
    assert_eq!(errors, expected);
}

fn before_third_colon(error: &str) -> &str {
    error.match_indices(": ").nth(1).map_or(error, |(end, _)| &error[..end])
}

#[test]
fn what_is_no_toml_is_told_by_line() {
    let cases: [(&str, &[&str]); 5] = [
        ("keys = [[[[", &["1: (syntax): not TOML: unclosed array; expected `]`"]),
        (
            "[[regions]]\nname = \"fra",
            &["2: (syntax): not TOML: invalid basic string; expected `\"`"],
        ),
        (
            "\n= 1\n[admin\n",
            &[
                "2: (syntax): not TOML: unquoted keys cannot be empty; expected letters, numbers, `-`, `_`",
                "3: (syntax): not TOML: unclosed table; expected `]`",
            ],
        ),
        (
            "[admin]\nkeys = []\nkeys = []\n",
            &["3: (syntax): not TOML: duplicate key; expected valid TOML"],
        ),
        (
            "a = 1\u{0}",
            &["1: (syntax): not TOML: string values must be quoted; expected literal string"],
        ),
    ];
    for (text, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|error| format!("gateway.toml:{error}")).collect();
        assert_eq!(errors(text), expected, "{text}");
    }
}

#[test]
fn an_empty_text_misses_its_four_lists() {
    let errors = errors("");
    let keys = ["regions", "clusters", "models", "tenants"];
    assert_eq!(errors.len(), keys.len(), "{errors:?}");
    for (error, key) in errors.iter().zip(keys) {
        assert!(
            error.starts_with(&format!("gateway.toml:1: {key}: missing; expected a list")),
            "{error}"
        );
    }
}

#[test]
fn what_is_too_much_is_cut_short() {
    let long = " ".repeat(MAX_BYTES + 1);
    assert_eq!(
        errors(&long),
        ["gateway.toml:1: (text): 1048577 bytes are too much; expected at most 1048576"]
    );
    let unknown: String = (0..2_000).map(|index| format!("key-{index} = 1\n")).collect();
    let errors = errors(&unknown);
    assert_eq!(
        (errors.len(), errors.last().map(String::as_str)),
        (1_001, Some("and 1004 more"))
    );
}

#[test]
fn nesting_bombs_are_refused() {
    let dotted = format!("a{} = 1", ".a".repeat(100_000));
    let lists = format!("a = {}", "[".repeat(100_000));
    let tables = format!("a = {}", "{ a = ".repeat(100_000));
    for bomb in [dotted, lists, tables] {
        assert!(
            errors(&bomb).iter().any(|error| error.contains("recurs")),
            "{}",
            &bomb[..20]
        );
    }
}

#[test]
fn the_schema_in_the_repository_is_the_one_that_the_declarations_make() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway.schema.json");
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == json_schema(),
        "out of date; regenerate it: tidegate schema > gateway.schema.json"
    );
}

#[test]
fn the_schema_accepts_the_example_and_nothing_beside_its_keys() {
    let schema = validator();
    for text in [EXAMPLE, SOUND] {
        let json = json_of(text);
        let errors: Vec<String> = schema.iter_errors(&json).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0]);
    }
}

#[test]
fn the_example_shows_every_key() {
    let schema: Value = serde_json::from_str(&json_schema()).unwrap_or_default();
    let example = json_of(EXAMPLE);
    let missing: Vec<String> = keys_of_schema(&schema, "")
        .difference(&keys_of(&example, ""))
        .cloned()
        .collect();
    assert_eq!(missing, [""; 0], "each key stands in gateway.toml with a comment");
}

/// The paths of all keys that a schema knows.
fn keys_of_schema(schema: &Value, path: &str) -> BTreeSet<String> {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let inner = alternatives
        .chain(schema.get("items"))
        .flat_map(|inner| keys_of_schema(inner, path));
    let properties = schema["properties"].as_object().into_iter().flatten();
    let own = properties.flat_map(|(key, schema)| {
        let path = format!("{path}.{key}");
        let mut keys = keys_of_schema(schema, &path);
        keys.insert(path);
        keys
    });
    own.chain(inner).collect()
}

/// The paths of all keys that stand in a text.
fn keys_of(value: &Value, path: &str) -> BTreeSet<String> {
    let entries = value
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|entry| keys_of(entry, path));
    let own = value.as_object().into_iter().flatten().flat_map(|(key, value)| {
        let path = format!("{path}.{key}");
        let mut keys = keys_of(value, &path);
        keys.insert(path);
        keys
    });
    own.chain(entries).collect()
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        check_report(&text)?;
    }

    #[test]
    fn no_damage_to_a_sound_text_makes_it_panic(damages in prop::collection::vec(damage(), 1..6), example: bool) {
        let mut text = if example { EXAMPLE } else { SOUND }.to_owned();
        damages.iter().for_each(|damage| damage.apply(&mut text));
        check_report(&text)?;
    }
}

/// What a careless editor does to a text. Places are shares of its length.
#[derive(Clone, Debug)]
enum Damage {
    Truncate { at: f64 },
    Delete { from: f64, characters: usize },
    Insert { at: f64, text: String },
    ReplaceValue { line: f64, value: String },
    RepeatLine { line: f64 },
    DeleteLine { line: f64 },
}

const VALUES: &[&str] = &[
    "",
    "0",
    "-1",
    "1e400",
    "nan",
    "\"\"",
    "\"canned\"",
    "[]",
    "[[]]",
    "{}",
    "[{}]",
    "{ canned = 1 }",
    "true",
];

fn damage() -> impl Strategy<Value = Damage> {
    let value = prop_oneof![prop::sample::select(VALUES).prop_map(str::to_owned), ".{0,12}"];
    prop_oneof![
        1 => (0.0..1.0).prop_map(|at| Damage::Truncate { at }),
        3 => (0.0..1.0, 1..30usize).prop_map(|(from, characters)| Damage::Delete { from, characters }),
        3 => (0.0..1.0, "[\\[\\]{}\"'=.,#\n\\\\a-z0-9é\u{0}]{1,8}").prop_map(|(at, text)| Damage::Insert { at, text }),
        6 => (0.0..1.0, value).prop_map(|(line, value)| Damage::ReplaceValue { line, value }),
        3 => (0.0..1.0).prop_map(|line| Damage::RepeatLine { line }),
        3 => (0.0..1.0).prop_map(|line| Damage::DeleteLine { line }),
    ]
}

impl Damage {
    fn apply(&self, text: &mut String) {
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let line_at = |share: f64| (share * lines.len() as f64) as usize;
        match self {
            Self::Truncate { at } => return text.truncate(boundary(text, *at)),
            Self::Delete { from, characters } => {
                let start = boundary(text, *from);
                let deleted: usize = text[start..].chars().take(*characters).map(char::len_utf8).sum();
                return text.replace_range(start..start + deleted, "");
            }
            Self::Insert { at, text: inserted } => return text.insert_str(boundary(text, *at), inserted),
            Self::ReplaceValue { line, value } => {
                let line = line_at(*line);
                let key = lines[line].split('=').next().unwrap_or_default();
                lines[line] = format!("{key}= {value}");
            }
            Self::RepeatLine { line } => lines.insert(line_at(*line), lines[line_at(*line)].clone()),
            Self::DeleteLine { line } => {
                lines.remove(line_at(*line));
            }
        }
        *text = lines.join("\n");
    }
}

fn boundary(text: &str, share: f64) -> usize {
    text.floor_char_boundary((share * text.len() as f64) as usize)
}

/// Whatever the text, errors name lines that it has, in order; and what is sound is so for the schema too.
fn check_report(text: &str) -> Result<(), TestCaseError> {
    match Config::parse(text, None) {
        Ok(_) => prop_assert!(validator().is_valid(&json_of(text))),
        Err(errors) => {
            let lines: Vec<usize> = errors.as_slice().iter().map(|error| error.line).collect();
            prop_assert!(lines.is_sorted() && !lines.is_empty());
            prop_assert!(
                lines
                    .iter()
                    .all(|line| (1..=1 + text.matches('\n').count()).contains(line))
            );
            prop_assert_eq!(errors.to_string().lines().count(), lines.len());
        }
    }
    Ok(())
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
