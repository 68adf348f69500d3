//! Whether the arguments of a call are as its tool's JSON Schema says. Schemas are clients' own: one is followed only as far as
//! it is sure to end soon. Nothing is ever fetched, and of a schema that leads elsewhere, or in circles, or is too large,
//! nothing is said.

use serde_json::value::RawValue;

/// By which of its keywords arguments, which are JSON, are not as that schema says; `None` where they are, or nobody knows.
/// Without the feature `schemas` nobody does.
#[cfg(not(feature = "schemas"))]
pub(super) fn broken_keyword(_schema: &RawValue, _arguments: &str) -> Option<&'static str> {
    None
}

#[cfg(feature = "schemas")]
pub(super) use checked::broken_keyword;

#[cfg(feature = "schemas")]
mod checked {
    use jsonschema::PatternOptions;
    use serde_json::Value;

    use super::RawValue;

    /// By which of its keywords arguments are not as that schema says; `None` where they are, or nobody knows.
    pub fn broken_keyword(schema: &RawValue, arguments: &str) -> Option<&'static str> {
        held_against(schema, arguments).flatten()
    }

    /// The same; `None` where nobody knows.
    fn held_against(schema: &RawValue, arguments: &str) -> Option<Option<&'static str>> {
        if schema.get().len() > MOST_SCHEMA {
            return None;
        }
        let schema: Value = serde_json::from_str(schema.get()).ok()?;
        let arguments: Value = serde_json::from_str(arguments).ok()?;
        let steps = Size::of(&schema)?.steps;
        if steps.saturating_mul(values(&arguments)) > MOST_STEPS {
            return None;
        }
        let patterns = PatternOptions::regex()
            .size_limit(MOST_PATTERN)
            .dfa_size_limit(MOST_PATTERN);
        let validator = jsonschema::options()
            .with_pattern_options(patterns)
            .should_validate_formats(false)
            .build(&schema)
            .ok()?;
        let error = validator.iter_errors(&arguments).next();
        Some(error.map(|error| keyword(error.kind().keyword())))
    }

    /// One of the words that a reason may have: what else stands in a schema is the client's.
    fn keyword(word: &str) -> &'static str {
        KEYWORDS
            .iter()
            .find(|known| **known == word)
            .copied()
            .unwrap_or("other")
    }

    /// How large a schema is where all that it refers to stands in place of the references.
    struct Size<'s> {
        root: &'s Value,
        /// The references that are being followed.
        within: Vec<&'s str>,
        /// How many values it has.
        steps: usize,
        patterns: usize,
        /// How deep in it, references followed.
        depth: usize,
    }

    impl<'s> Size<'s> {
        /// `None` where it leads elsewhere or in circles, or takes too much.
        fn of(schema: &'s Value) -> Option<Self> {
            let mut size = Self {
                root: schema,
                within: Vec::new(),
                steps: 0,
                patterns: 0,
                depth: 0,
            };
            size.add(schema)?;
            Some(size)
        }

        fn add(&mut self, value: &'s Value) -> Option<()> {
            self.steps += 1;
            self.depth += 1;
            if self.steps > MOST_STEPS || self.patterns > MOST_PATTERNS || self.depth > MOST_DEPTH {
                return None;
            }
            match value {
                Value::Object(members) => members
                    .iter()
                    .try_for_each(|(name, member)| self.add_member(name, member)),
                Value::Array(items) => items.iter().try_for_each(|item| self.add(item)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(()),
            }?;
            self.depth -= 1;
            Some(())
        }

        fn add_member(&mut self, name: &str, member: &'s Value) -> Option<()> {
            match (name, member) {
                ("$ref", Value::String(reference)) => return self.add_behind(reference),
                ("$id" | "id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef", Value::String(_)) => {
                    return None;
                }
                ("pattern", Value::String(_)) => self.patterns += 1,
                ("patternProperties", Value::Object(patterns)) => self.patterns += patterns.len(),
                _ => {}
            }
            self.add(member)
        }

        fn add_behind(&mut self, reference: &'s str) -> Option<()> {
            if self.within.contains(&reference) {
                return None;
            }
            let target = self.root.pointer(reference.strip_prefix('#')?)?;
            self.within.push(reference);
            self.add(target)?;
            self.within.pop();
            Some(())
        }
    }

    /// How many values stand in it.
    fn values(value: &Value) -> usize {
        match value {
            Value::Object(members) => 1 + members.values().map(values).sum::<usize>(),
            Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        }
    }

    /// Larger schemas are not looked at, in bytes.
    const MOST_SCHEMA: usize = 64 << 10;
    /// No more values of a schema, references followed, times values of arguments: some milliseconds.
    const MOST_STEPS: usize = 200_000;
    /// Deeper schemas are not looked at, references followed: whoever validates goes as deep on its stack.
    const MOST_DEPTH: usize = 128;
    /// Schemas with more patterns are not looked at: each takes some milliseconds to be read.
    const MOST_PATTERNS: usize = 8;
    /// What a pattern may take, in bytes; one that takes more makes its schema one of which nothing is said.
    const MOST_PATTERN: usize = 256 << 10;
    const KEYWORDS: [&str; 29] = [
        "additionalItems",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "contains",
        "dependentRequired",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "oneOf",
        "pattern",
        "propertyNames",
        "required",
        "type",
        "unevaluatedProperties",
        "uniqueItems",
    ];

    #[cfg(test)]
    mod tests {
        use super::*;

        fn of(schema: &str, arguments: &str) -> Option<Option<&'static str>> {
            let schema: &RawValue = serde_json::from_str(schema).expect("JSON");
            held_against(schema, arguments)
        }

        const WEATHER: &str = r##"{"type":"object","properties":{"city":{"type":"string","pattern":"^[A-Z]"},
            "days":{"anyOf":[{"type":"integer","maximum":9},{"type":"null"}]},"unit":{"$ref":"#/$defs/unit"}},
            "required":["city"],"additionalProperties":false,"$defs":{"unit":{"enum":["c","f"]}}}"##;

        #[test]
        fn arguments_are_held_against_the_schema() {
            for (arguments, keyword) in [
                (r#"{"city":"Kyiv","days":null,"unit":"c"}"#, None),
                (r#"{"days":3}"#, Some("required")),
                (r#"{"city":7}"#, Some("type")),
                (r#"{"city":"kyiv"}"#, Some("pattern")),
                (r#"{"city":"Kyiv","unit":"k"}"#, Some("enum")),
                (r#"{"city":"Kyiv","days":10}"#, Some("anyOf")),
                (r#"{"city":"Kyiv","colour":1}"#, Some("additionalProperties")),
            ] {
                assert_eq!(of(WEATHER, arguments), Some(keyword), "{arguments}");
            }
        }

        #[test]
        fn of_schemas_that_lead_elsewhere_or_in_circles_nothing_is_said() {
            let doubling: String = (0..40).fold(String::new(), |defs, level| {
                let next = level + 1;
                format!(
                    r##"{defs}"d{level}":{{"allOf":[{{"$ref":"#/$defs/d{next}"}},{{"$ref":"#/$defs/d{next}"}}]}},"##
                )
            });
            let doubling = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{doubling}"d40":{{}}}}}}"##);
            let chain: String = (0..200).fold(String::new(), |defs, level| {
                let next = level + 1;
                format!(r##"{defs}"d{level}":{{"not":{{"$ref":"#/$defs/d{next}"}}}},"##)
            });
            let chain = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{chain}"d200":{{}}}}}}"##);
            for schema in [
                &chain,
                r#"{"$ref":"https://example.com/schema.json"}"#,
                r#"{"$id":"https://example.com/a","type":"string"}"#,
                r##"{"$ref":"#"}"##,
                r##"{"properties":{"a":{"$ref":"#"}}}"##,
                r##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##,
                r##"{"$ref":"#/$defs/none"}"##,
                r##"{"$dynamicRef":"#node"}"##,
                r#"{"type":"moonphase"}"#,
                r#"{"pattern":"(?<=a)b"}"#,
                r#"{"pattern":"((((a{99}){99}){99}){99})"}"#,
                "7",
                &doubling,
            ] {
                assert_eq!(of(schema, "{}"), None, "{schema}");
            }
            let pattern = r#"{"pattern":"a"}"#;
            let patterned = |count: usize| format!(r#"{{"allOf":[{}]}}"#, vec![pattern; count].join(","));
            assert_eq!(of(&patterned(MOST_PATTERNS), "{}"), Some(None));
            assert_eq!(of(&patterned(MOST_PATTERNS + 1), "{}"), None);
            let large = format!(r#"{{"const":"{}"}}"#, "a".repeat(MOST_SCHEMA));
            assert_eq!(of(&large, "{}"), None);
        }
    }
}
