//! JSON that the simulated model writes: a value that fits a schema, for tool arguments and structured output.

use serde_json::{Map, Number, Value, json};

use super::prose::Prose;
use super::random::{Random, hash_bytes};
use super::words::{ADJECTIVES, NOUNS, PLURALS};

/// A value that fits `schema`, chosen by the seed. Keywords that are not understood are ignored.
#[must_use]
pub fn value_for_schema(seed: u64, schema: &Value) -> Value {
    Writer {
        random: Random::new(hash_bytes(seed, b"schema")),
        root: schema,
    }
    .value(schema, 0)
}

/// An object as a model writes it when it may write any (`response_format: json_object`).
#[must_use]
pub fn any_object(seed: u64) -> Value {
    let mut random = Random::new(hash_bytes(seed, b"object"));
    json!({
        "title": format!("The {} {}", random.pick(ADJECTIVES), random.pick(NOUNS)),
        "summary": Prose::after(seed, "").next_sentence().text,
        "topics": [random.pick(PLURALS), random.pick(PLURALS), random.pick(PLURALS)],
        "count": random.below(100),
        "confirmed": random.below(2) == 0,
    })
}

struct Writer<'a> {
    random: Random,
    root: &'a Value,
}

/// Schemas nest, and references may be circular: beyond this depth everything is null.
const DEEPEST: usize = 16;

impl<'a> Writer<'a> {
    fn value(&mut self, schema: &'a Value, depth: usize) -> Value {
        if depth > DEEPEST {
            return Value::Null;
        }
        let schema = self.resolve(schema);
        if let Some(fixed) = schema.get("const") {
            return fixed.clone();
        }
        if let Some(choices) = schema
            .get("enum")
            .and_then(Value::as_array)
            .filter(|choices| !choices.is_empty())
        {
            return choices[self.random.below(choices.len() as u64) as usize].clone();
        }
        let alternatives = ["anyOf", "oneOf", "allOf"]
            .iter()
            .find_map(|key| schema.get(key)?.as_array()?.first());
        if let Some(first) = alternatives {
            return self.value(first, depth + 1);
        }
        match type_of(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => Value::from(self.number(schema) as i64),
            "number" => Number::from_f64(self.number(schema)).map_or(Value::Null, Value::Number),
            "boolean" => Value::Bool(self.random.below(2) == 0),
            "null" => Value::Null,
            _ => Value::String(self.string(schema)),
        }
    }

    /// Follows one `$ref` into the root's definitions.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let pointer = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Value {
        let mut object = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            object.insert(name.clone(), self.value(property, depth + 1));
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &'a Value, depth: usize) -> Value {
        let bound = |key| schema.get(key).and_then(Value::as_u64);
        let least = bound("minItems").unwrap_or(1).min(64);
        let most = bound("maxItems").unwrap_or(least + 1).clamp(least, least + 1);
        let length = least + self.random.below(most - least + 1);
        let item = schema.get("items").unwrap_or(&Value::Null);
        (0..length).map(|_| self.value(item, depth + 1)).collect()
    }

    fn number(&mut self, schema: &Value) -> f64 {
        let bound = |key| schema.get(key).and_then(Value::as_f64);
        let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|bound| bound + 1.0));
        let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|bound| bound - 1.0));
        let low = least.unwrap_or_else(|| most.map_or(0.0, |most| most.min(0.0)));
        let high = most.unwrap_or(low + 100.0).max(low);
        let fraction = self.random.fraction();
        ((low + (high - low) * fraction).round()).clamp(low, high)
    }

    fn string(&mut self, schema: &Value) -> String {
        let day = 1 + self.random.below(28);
        match schema.get("format").and_then(Value::as_str) {
            Some("date") => format!("2026-03-{day:02}"),
            Some("date-time") => format!("2026-03-{day:02}T12:00:00Z"),
            Some("time") => format!("{day:02}:00:00Z"),
            Some("email") => format!("{}@example.com", self.random.pick(NOUNS)),
            Some("uri") => format!("https://example.com/{}", self.random.pick(NOUNS)),
            Some("uuid") => format!(
                "{:08x}-0000-4000-8000-{:012x}",
                self.random.next() >> 32,
                self.random.next() >> 16
            ),
            _ => format!("{} {}", self.random.pick(ADJECTIVES), self.random.pick(NOUNS)),
        }
    }
}

fn type_of(schema: &Value) -> &str {
    let named = match schema.get("type") {
        Some(Value::Array(types)) => types.first().and_then(Value::as_str),
        Some(named) => named.as_str(),
        None => None,
    };
    named.unwrap_or(if schema.get("properties").is_some() {
        "object"
    } else {
        "string"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_that_is_understood_holds() {
        let schema = json!({
            "type": "object",
            "$defs": {"city": {"type": "string", "enum": ["Oslo", "Lima"]}},
            "properties": {
                "city": {"$ref": "#/$defs/city"},
                "days": {"type": "integer", "minimum": 3, "maximum": 5},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                "unit": {"const": "metric"},
                "when": {"type": ["string", "null"], "format": "date"},
                "exact": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            },
        });
        for seed in 0..50 {
            let value = value_for_schema(seed, &schema);
            assert!(["Oslo", "Lima"].contains(&value["city"].as_str().unwrap()), "{value}");
            assert!((3..=5).contains(&value["days"].as_i64().unwrap()), "{value}");
            assert!(
                value["tags"].as_array().unwrap().iter().all(Value::is_string),
                "{value}"
            );
            assert!(value["tags"].as_array().unwrap().len() >= 2, "{value}");
            assert_eq!(value["unit"], "metric");
            assert!(value["when"].as_str().unwrap().starts_with("2026-03-"), "{value}");
            assert!(value["exact"].is_boolean(), "{value}");
        }
    }

    #[test]
    fn a_circular_schema_ends() {
        let schema = json!({"properties": {"next": {"$ref": "#"}}});
        assert!(value_for_schema(1, &schema)["next"]["next"].is_object());
    }
}
