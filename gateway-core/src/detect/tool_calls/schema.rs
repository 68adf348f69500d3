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
        let steps = Size { root: &schema }.steps(&schema, &mut Vec::new())?;
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
        KEYWORDS.iter().find(|known| **known == word).copied().unwrap_or("other")
    }

    /// How large a schema is where all that it refers to stands in place of the references.
    struct Size<'s> {
        root: &'s Value,
    }

    impl<'s> Size<'s> {
        /// Every value in it counts as a step. `None` where it leads elsewhere or in circles, or takes too many. `within` are
        /// the references that are being followed.
        fn steps(&self, value: &'s Value, within: &mut Vec<&'s str>) -> Option<usize> {
            let mut steps = 1_usize;
            let mut add = |more: Option<usize>| -> Option<()> {
                steps = steps.saturating_add(more?);
                (steps <= MOST_STEPS).then_some(())
            };
            match value {
                Value::Object(members) => {
                    for (name, member) in members {
                        let more = match (name.as_str(), member) {
                            ("$ref", Value::String(reference)) => self.behind(reference, within),
                            ("$id" | "id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef", Value::String(_)) => None,
                            _ => self.steps(member, within),
                        };
                        add(more)?;
                    }
                }
                Value::Array(items) => {
                    for item in items {
                        add(self.steps(item, within))?;
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
            Some(steps)
        }

        fn behind(&self, reference: &'s str, within: &mut Vec<&'s str>) -> Option<usize> {
            if within.contains(&reference) {
                return None;
            }
            let target = self.root.pointer(reference.strip_prefix('#')?)?;
            within.push(reference);
            let steps = self.steps(target, within);
            within.pop();
            steps
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
                format!(r##"{defs}"d{level}":{{"allOf":[{{"$ref":"#/$defs/d{next}"}},{{"$ref":"#/$defs/d{next}"}}]}},"##)
            });
            let doubling = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{doubling}"d40":{{}}}}}}"##);
            for schema in [
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
            let large = format!(r#"{{"const":"{}"}}"#, "a".repeat(MOST_SCHEMA));
            assert_eq!(of(&large, "{}"), None);
        }
    }
}
