//! The JSON Schema of `gateway.toml`, for editors. It is made from the very declarations that the reader follows, so it
//! knows the same keys, bounds and defaults. What it cannot say (names that must exist, nothing twice, one bound below
//! another) only [`Config::parse`](super::Config::parse) checks.

use serde_json::{Map, Value, json};

use super::canned::{CannedReason, Language, Reason, TemplateText};
use super::engine::EngineKind;
use super::hop::Hop;
use super::kinds::{Decimal, Flag, Limit, List, Whole};
use super::media::MediaPattern;
use super::origin::Origin;
use super::read::Kind;
use super::report::{Place, Report};
use super::texts::{Digest, Engine, ModelId, Pattern, Priority, ReplicaUrl, Text};
use super::validated;
use super::written::{CannedTier, Key as TenantKey, KeyWithPriority, Root, Tier};
use crate::language::LanguageTag;

/// The schema as it stands in `gateway.schema.json`: draft 7, which editors' TOML extensions understand.
pub fn json_schema() -> String {
    let mut schema = Root::schema();
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("gateway.toml");
    format!("{schema:#}\n")
}

/// What the schema says of a kind.
pub(super) trait Describe {
    /// The schema of a value.
    fn schema() -> Value;
}

/// A key of a table.
pub(super) struct Key {
    name: &'static str,
    schema: Value,
    required: bool,
}

/// The key with its comment, which is given line by line.
pub(super) fn key<K: Kind + Describe>(name: &'static str, comment: &[&str]) -> Key {
    let mut schema = K::schema();
    schema["description"] = json!(paragraph(comment));
    Key {
        name,
        schema,
        required: K::absent(Place::TEXT, &mut Report::new("")).is_none(),
    }
}

/// A table of these keys and no others.
pub(super) fn table<const N: usize>(comment: &[&str], keys: [Key; N]) -> Value {
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let properties: Map<String, Value> = keys.into_iter().map(|key| (key.name.to_owned(), key.schema)).collect();
    json!({
        "type": "object",
        "description": paragraph(comment),
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn paragraph(comment: &[&str]) -> String {
    comment.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

impl<T, const MIN: i64, const MAX: i64> Describe for Whole<T, MIN, MAX> {
    fn schema() -> Value {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

impl<T, const DEFAULT: i64, const MIN: i64, const MAX: i64> Describe for Limit<T, DEFAULT, MIN, MAX> {
    fn schema() -> Value {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX, "default": DEFAULT })
    }
}

impl<const DEFAULT: bool> Describe for Flag<DEFAULT> {
    fn schema() -> Value {
        json!({ "type": "boolean", "default": DEFAULT })
    }
}

impl<const MIN: i64, const MAX: i64> Describe for Decimal<MIN, MAX> {
    fn schema() -> Value {
        json!({ "type": "number", "minimum": MIN, "maximum": MAX })
    }
}

impl<K: Describe, const MIN: usize> Describe for List<K, MIN> {
    fn schema() -> Value {
        json!({ "type": "array", "items": K::schema(), "minItems": MIN })
    }
}

impl<K: Describe> Describe for Option<K> {
    fn schema() -> Value {
        K::schema()
    }
}

impl<P: Pattern> Describe for P {
    fn schema() -> Value {
        json!({ "type": "string", "pattern": format!("^[{}][{}]*$", P::FIRST, P::REST), "maxLength": P::MAX })
    }
}

impl<const MAX: usize> Describe for Text<MAX> {
    fn schema() -> Value {
        json!({ "type": "string", "pattern": r"\S", "maxLength": MAX })
    }
}

impl<const MAX: usize> Describe for TemplateText<MAX> {
    fn schema() -> Value {
        Text::<MAX>::schema()
    }
}

impl Describe for Language {
    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", "maxLength": LanguageTag::MAX })
    }
}

impl Describe for Reason {
    fn schema() -> Value {
        json!({ "type": "string", "enum": CannedReason::ALL.map(CannedReason::as_str) })
    }
}

impl Describe for ReplicaUrl {
    fn schema() -> Value {
        json!({ "type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@][^\s?#@]*$" })
    }
}

impl Describe for Hop {
    fn schema() -> Value {
        json!({ "type": "string", "pattern": r"^([Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@][^\s?#@]*|binding:[A-Za-z][A-Za-z0-9_]*)$" })
    }
}

impl Describe for MediaPattern {
    fn schema() -> Value {
        json!({ "type": "string", "pattern": r"^https?://(\*|(\*\.)?[a-z0-9][a-z0-9.:-]*)$" })
    }
}

impl Describe for Origin {
    fn schema() -> Value {
        json!({ "type": "string", "pattern": r"^(\*|[a-z][a-z0-9+.-]*://[a-zA-Z0-9[][a-z0-9._:\[\]-]*)$" })
    }
}

impl Describe for Digest {
    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^sha256:[0-9A-Fa-f]{64}$" })
    }
}

impl Describe for Engine {
    fn schema() -> Value {
        json!({ "type": "string", "enum": EngineKind::ALL.map(EngineKind::as_str) })
    }
}

impl Describe for Priority {
    fn schema() -> Value {
        json!({"type": "string", "enum": validated::Priority::ALL.map(validated::Priority::as_str)})
    }
}

impl Describe for TenantKey {
    fn schema() -> Value {
        json!({"anyOf": [Digest::schema(), KeyWithPriority::schema()]})
    }
}

impl Describe for Tier {
    fn schema() -> Value {
        json!({ "anyOf": [ModelId::schema(), CannedTier::schema()] })
    }
}
