//! What is known of JSON Schema (draft 2020-12, and draft 7 where that is the same): the part of it in which answers are
//! commonly described. Whether a value is of a schema is answered with no wherever that is not sure.

use serde_json::{Map, Value};

/// A schema, and the one that it is a part of, to which it may refer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema<'s> {
    root: &'s Value,
    own: &'s Value,
}

/// Kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    const NULL: Self = Self(1);
    pub const STRING: Self = Self(2);
    pub const ARRAY: Self = Self(4);
    pub const OBJECT: Self = Self(8);
    const BOOLEAN: Self = Self(16);
    const INTEGER: Self = Self(32);
    const NUMBER: Self = Self(64 | 32);
    const ALL: Self = Self(127);

    /// Whether these are among them.
    pub fn has(self, kinds: Self) -> bool {
        self.0 & kinds.0 == kinds.0
    }

    fn named(name: &Value) -> Option<Self> {
        Some(match name.as_str()? {
            "null" => Self::NULL,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            _ => return None,
        })
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) if number.is_i64() || number.is_u64() => Self::INTEGER,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }
}

impl<'s> Schema<'s> {
    /// A whole schema.
    pub fn root(own: &'s Value) -> Self {
        Self { root: own, own }
    }

    fn with(self, own: &'s Value) -> Self {
        Self { own, ..self }
    }

    fn get(self, keyword: &str) -> Option<&'s Value> {
        self.own.get(keyword)
    }

    /// What it refers to, where it refers to something; `None` where that is not known, or it says more than that.
    pub fn resolved(self) -> Option<Self> {
        let mut schema = self;
        for _ in 0..MOST_REFERENCES {
            let Some(reference) = schema.get("$ref") else {
                return Some(schema);
            };
            let mut siblings = schema.own.as_object()?.keys();
            if !siblings.all(|keyword| keyword == "$ref" || is_annotation(keyword)) {
                return None;
            }
            let reference = reference.as_str()?.strip_prefix('#')?;
            // What has to be decoded is not: names of definitions seldom have such characters.
            let is_plain = !reference.contains(['%', '~']);
            schema = schema.with(is_plain.then(|| schema.root.pointer(reference))??);
        }
        None
    }

    /// The schemas of which its values are of one at least.
    pub fn choices(self) -> impl Iterator<Item = Self> {
        let choices = self.get("anyOf").and_then(Value::as_array);
        choices.into_iter().flatten().map(move |own| self.with(own))
    }

    /// Whether it is of null alone.
    pub fn is_null(self) -> bool {
        self.kinds() == Kinds::NULL || self.get("const") == Some(&Value::Null)
    }

    /// The only values that it allows, where it lists them.
    pub fn allowed(self) -> Option<&'s [Value]> {
        match (self.get("const"), self.get("enum")) {
            (Some(only), _) => Some(std::slice::from_ref(only)),
            (None, Some(listed)) => listed.as_array().map(Vec::as_slice),
            (None, None) => None,
        }
    }

    /// The kinds that its values may have.
    pub fn kinds(self) -> Kinds {
        let named = match self.get("type") {
            None => return Kinds::ALL,
            Some(Value::Array(names)) => names.as_slice(),
            Some(name) => std::slice::from_ref(name),
        };
        named
            .iter()
            .filter_map(Kinds::named)
            .fold(Kinds(0), |kinds, kind| Kinds(kinds.0 | kind.0))
    }

    /// The schemas of an object's members, where it names any.
    pub fn properties(self) -> Option<&'s Map<String, Value>> {
        let properties = self.get("properties").and_then(Value::as_object);
        properties.filter(|properties| !properties.is_empty())
    }

    /// The schema of a member that it names.
    pub fn property(self, name: &str) -> Option<Self> {
        Some(self.with(self.properties()?.get(name)?))
    }

    /// The members that an object must have; `None` where that is not understood.
    pub fn required(self) -> Option<Vec<&'s str>> {
        match self.get("required") {
            None => Some(Vec::new()),
            Some(names) => names.as_array()?.iter().map(Value::as_str).collect(),
        }
    }

    /// Whether the value surely is of the schema.
    pub fn holds(self, value: &Value, effort: &mut Effort) -> bool {
        effort
            .within(|effort| {
                let schema = self.resolved()?;
                Some(match schema.own {
                    Value::Bool(any) => *any,
                    Value::Object(keywords) => keywords
                        .iter()
                        .all(|(keyword, argument)| schema.keyword_holds((keyword, argument), value, effort)),
                    Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
                })
            })
            .unwrap_or(false)
    }

    fn keyword_holds(self, (keyword, argument): (&str, &'s Value), value: &Value, effort: &mut Effort) -> bool {
        let listed = || argument.as_array().map_or(&[][..], Vec::as_slice);
        match keyword {
            "type" => self.kinds().has(Kinds::of(value)),
            "const" => argument == value,
            "enum" => listed().contains(value),
            "anyOf" => listed().iter().any(|own| self.with(own).holds(value, effort)),
            _ if is_annotation(keyword) => true,
            _ => match value {
                Value::String(text) => is_for_others(keyword, STRINGS) || holds_of_string(keyword, argument, text),
                Value::Array(items) => is_for_others(keyword, ARRAYS) || holds_of_array(keyword, argument, items),
                Value::Object(members) => {
                    is_for_others(keyword, OBJECTS) || self.holds_of_object((keyword, argument), members, effort)
                }
                Value::Number(_) => is_for_others(keyword, NUMBERS),
                Value::Null | Value::Bool(_) => is_for_others(keyword, &[]),
            },
        }
    }

    fn holds_of_object(
        self,
        (keyword, argument): (&str, &'s Value),
        members: &Map<String, Value>,
        effort: &mut Effort,
    ) -> bool {
        let own = |name: &str| self.get("properties").and_then(|properties| properties.get(name));
        match keyword {
            "properties" => members
                .iter()
                .filter_map(|(name, value)| Some((own(name)?, value)))
                .all(|(own, value)| self.with(own).holds(value, effort)),
            "additionalProperties" => {
                let mut others = members.iter().filter(|(name, _)| own(name).is_none());
                others.all(|(_, value)| self.with(argument).holds(value, effort))
            }
            "required" => self
                .required()
                .is_some_and(|names| names.iter().all(|name| members.contains_key(*name))),
            "minProperties" => at_least(members.len(), argument),
            "maxProperties" => at_most(members.len(), argument),
            _ => false,
        }
    }
}

fn holds_of_string(keyword: &str, argument: &Value, text: &str) -> bool {
    match keyword {
        "minLength" => at_least(text.chars().count(), argument),
        "maxLength" => at_most(text.chars().count(), argument),
        _ => false,
    }
}

fn holds_of_array(keyword: &str, argument: &Value, items: &[Value]) -> bool {
    match keyword {
        "items" | "prefixItems" => items.is_empty(),
        "uniqueItems" => items.len() < 2,
        "minItems" => at_least(items.len(), argument),
        "maxItems" => at_most(items.len(), argument),
        _ => false,
    }
}

fn at_least(length: usize, argument: &Value) -> bool {
    argument.as_u64().is_some_and(|least| length as u64 >= least)
}

fn at_most(length: usize, argument: &Value) -> bool {
    argument.as_u64().is_some_and(|most| length as u64 <= most)
}

/// Whether it says nothing of values.
fn is_annotation(keyword: &str) -> bool {
    ANNOTATIONS.contains(&keyword)
}

/// Whether it is about other kinds of values than those whose keywords are `own`.
fn is_for_others(keyword: &str, own: &[&str]) -> bool {
    let is_known = [STRINGS, NUMBERS, ARRAYS, OBJECTS]
        .iter()
        .any(|keywords| keywords.contains(&keyword));
    is_known && !own.contains(&keyword)
}

/// How much more may be looked at: schemas refer to themselves, and leave choices.
#[derive(Debug)]
pub(super) struct Effort {
    schemas: u32,
    depth: u32,
}

impl Effort {
    /// All of it: some hundred microseconds at most.
    pub fn whole() -> Self {
        Self {
            schemas: MOST_SCHEMAS,
            depth: MOST_DEPTH,
        }
    }

    /// Looks at a schema; `None` where nothing is left.
    pub fn within<T>(&mut self, look: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.schemas = self.schemas.checked_sub(1)?;
        self.depth = self.depth.checked_sub(1)?;
        let seen = look(self);
        self.depth += 1;
        seen
    }
}

const ANNOTATIONS: &[&str] = &[
    "$comment",
    "$defs",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];
const STRINGS: &[&str] = &[
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "format",
    "maxLength",
    "minLength",
    "pattern",
];
const NUMBERS: &[&str] = &[
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maximum",
    "minimum",
    "multipleOf",
];
const ARRAYS: &[&str] = &[
    "additionalItems",
    "contains",
    "items",
    "maxContains",
    "maxItems",
    "minContains",
    "minItems",
    "prefixItems",
    "unevaluatedItems",
    "uniqueItems",
];
const OBJECTS: &[&str] = &[
    "additionalProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "maxProperties",
    "minProperties",
    "patternProperties",
    "properties",
    "propertyNames",
    "required",
    "unevaluatedProperties",
];
/// References that lead to references.
const MOST_REFERENCES: usize = 16;
/// Looked at for one answer, in all.
const MOST_SCHEMAS: u32 = 4_096;
/// Looked at within each other: instances at edge locations have a small stack.
const MOST_DEPTH: u32 = 48;
