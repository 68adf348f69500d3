//! The schema says what the parser takes, and the example shows all of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::json_schema;
use super::{EXAMPLE, SOUND, json_of, validator};

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
