//! How much work a schema is for its validator, before it is given to one. Only keywords are followed of which it is known that
//! they take no more than one look at each value for each time they stand there: a list of what may be, since a validator
//! learns new ones.

use serde_json::Value;

/// How much work a schema is where all that it refers to stands in place of the references.
pub(super) struct Weight<'s> {
    root: &'s Value,
    /// The references that are being followed.
    within: Vec<&'s str>,
    /// For one value of the arguments: how many values of the schema are looked at.
    pub steps: usize,
    patterns: usize,
    /// How many schemas deep, references followed.
    depth: usize,
}

impl<'s> Weight<'s> {
    /// `None` where it leads elsewhere or in circles, takes too much, or has a keyword that is not known here.
    pub fn of(schema: &'s Value) -> Option<Self> {
        let mut weight = Self {
            root: schema,
            within: Vec::new(),
            steps: 0,
            patterns: 0,
            depth: 0,
        };
        weight.add(schema, 1)?;
        Some(weight)
    }

    /// A schema that is looked at so many times.
    fn add(&mut self, schema: &'s Value, times: usize) -> Option<()> {
        self.step(1, times)?;
        let keywords = match schema {
            Value::Bool(_) => return Some(()),
            Value::Object(keywords) => keywords,
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => return None,
        };
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return None;
        }
        for (keyword, value) in keywords {
            self.step(1, times)?;
            self.add_keyword(keyword, value, times)?;
        }
        self.depth -= 1;
        Some(())
    }

    fn add_keyword(&mut self, keyword: &str, value: &'s Value, times: usize) -> Option<()> {
        match keyword {
            "$ref" => self.add_behind(value.as_str()?, times),
            "allOf" | "prefixItems" => self.add_each(value.as_array()?, times),
            // Where none is right, each is asked once more for what was wrong.
            "anyOf" | "oneOf" => self.add_each(value.as_array()?, times.checked_mul(2)?),
            "not" => self.add(value, times.checked_mul(2)?),
            "items" if value.is_array() => self.add_each(value.as_array()?, times),
            "items" | "additionalItems" | "additionalProperties" | "propertyNames" => self.add(value, times),
            "properties" | "$defs" | "definitions" => self.add_each(value.as_object()?.values(), times),
            "patternProperties" => {
                let schemas = value.as_object()?;
                self.match_patterns(schemas.len(), times)?;
                self.add_each(schemas.values(), times)
            }
            "pattern" => self.match_patterns(1, times),
            "enum" | "const" | "required" => self.step(values(value), times),
            "uniqueItems" => self.step(UNIQUE_ITEMS, times),
            _ => CHEAP.contains(&keyword).then_some(()),
        }
    }

    fn add_each(&mut self, schemas: impl IntoIterator<Item = &'s Value>, times: usize) -> Option<()> {
        schemas.into_iter().try_for_each(|schema| self.add(schema, times))
    }

    fn add_behind(&mut self, reference: &'s str, times: usize) -> Option<()> {
        // What stands for other letters, such as `%41` and `~1`, would have to be read just as the validator does.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.$".contains(&byte);
        let pointer = reference
            .strip_prefix('#')
            .filter(|pointer| pointer.bytes().all(is_plain))?;
        if self.within.contains(&reference) {
            return None;
        }
        let target = self.root.pointer(pointer)?;
        self.within.push(reference);
        self.add(target, times)?;
        self.within.pop();
        Some(())
    }

    fn match_patterns(&mut self, patterns: usize, times: usize) -> Option<()> {
        self.patterns = self.patterns.saturating_add(patterns.saturating_mul(times));
        (self.patterns <= MOST_PATTERNS).then_some(())
    }

    fn step(&mut self, steps: usize, times: usize) -> Option<()> {
        self.steps = self.steps.saturating_add(steps.saturating_mul(times));
        (self.steps <= MOST_STEPS).then_some(())
    }
}

/// How many values stand in it.
pub(super) fn values(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(values).sum::<usize>(),
        Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// No more steps for each value of a schema, times values of arguments: some milliseconds.
pub(super) const MOST_STEPS: usize = 200_000;
/// Deeper schemas are not looked at, references followed: whoever validates goes as deep on its stack.
const MOST_DEPTH: usize = 64;
/// Schemas with more patterns are not looked at: each takes some milliseconds to be read.
pub(super) const MOST_PATTERNS: usize = 8;
/// Each item is held against every other one: arguments that are looked at have no more than 512.
const UNIQUE_ITEMS: usize = 256;
/// Keywords that take one look at a value, or none.
const CHEAP: [&str; 26] = [
    "$comment",
    "$schema",
    "default",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "nullable",
    "readOnly",
    "strict",
    "title",
    "type",
    "writeOnly",
];
