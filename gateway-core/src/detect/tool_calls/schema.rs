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
mod weight;

#[cfg(feature = "schemas")]
mod checked {
    use jsonschema::PatternOptions;
    use serde_json::Value;

    use super::RawValue;
    use super::weight::{MOST_STEPS, Weight, values};

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
        let steps = Weight::of(&schema)?.steps;
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

    /// Larger schemas are not looked at, in bytes.
    const MOST_SCHEMA: usize = 64 << 10;
    /// What a pattern may take, in bytes; one that takes more makes its schema one of which nothing is said.
    const MOST_PATTERN: usize = 256 << 10;
    const KEYWORDS: [&str; 25] = [
        "additionalItems",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
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
        "uniqueItems",
    ];

    #[cfg(test)]
    #[expect(clippy::disallowed_types, reason = "how long a validator takes is what is tested")]
    mod tests {
        use std::time::{Duration, Instant};

        use super::super::weight::MOST_PATTERNS;
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
                r##"{"$ref":"#/$defs/x%41","$defs":{"x%41":{},"xA":{"$ref":"#/$defs/x%41"}}}"##,
                r##"{"$ref":"#/$defs/x~1y","$defs":{"x/y":{}}}"##,
                r#"{"dependentSchemas":{"a":{}}}"#,
                r#"{"properties":7}"#,
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

        /// A schema within itself, so many times, by what is written around it.
        fn nested(levels: usize, before: &str, after: &str) -> String {
            let innermost = r#"{"properties":{"a":{"type":"string"}}}"#;
            format!("{}{innermost}{}", before.repeat(levels), after.repeat(levels))
        }

        #[test]
        fn what_its_validator_would_take_long_over_nothing_is_said_of() {
            for keyword in ["anyOf", "allOf", "oneOf"] {
                let before = format!(r#"{{"{keyword}":["#);
                let chain = nested(30, &before, r#"],"unevaluatedProperties":false}"#);
                assert_eq!(of(&chain, r#"{"a":"x"}"#), None, "{chain}");
            }
            for chain in [
                nested(30, r#"{"anyOf":["#, "]}"),
                nested(30, r#"{"oneOf":[{"type":"null"},"#, "]}"),
                nested(30, r#"{"not":"#, "}"),
                nested(30, r#"{"if":"#, "}"),
            ] {
                assert_eq!(of(&chain, r#"{"a":"x"}"#), None, "{chain}");
            }
        }

        #[test]
        fn what_may_stand_within_itself_takes_no_longer_for_it() {
            for (before, after) in [
                (r#"{"allOf":["#, "]}"),
                (r#"{"properties":{"a":"#, "}}"),
                (r#"{"properties":{"a":"#, r#"},"additionalProperties":false}"#),
                (r#"{"additionalProperties":"#, "}"),
                (r#"{"properties":{"b":{}},"additionalProperties":"#, "}"),
                (r#"{"patternProperties":{"a":{}},"properties":{"b":"#, "}}"),
                (r#"{"items":"#, "}"),
                (r#"{"items":["#, r#"],"additionalItems":false}"#),
                (r#"{"prefixItems":["#, r#"],"items":false}"#),
                (r#"{"propertyNames":"#, "}"),
                (r#"{"$defs":{"a":"#, "}}"),
                (r#"{"definitions":{"a":"#, "}}"),
            ] {
                let levels = if before.contains("patternP") { 8 } else { 30 };
                let deep = format!("{}7{}", r#"{"a":"#.repeat(30), "}".repeat(30));
                let told = ["2020-12", "2019-09"].map(|draft| {
                    let schema = nested(levels, before, after);
                    let draft = format!("https://json-schema.org/draft/{draft}/schema");
                    let schema = format!(r#"{{"$schema":"{draft}","allOf":[{schema}]}}"#);
                    let begun = Instant::now();
                    let told = of(&schema, &deep);
                    // Without optimisations; twice as much for each level would be days.
                    assert!(begun.elapsed() < Duration::from_secs(2), "{schema}");
                    told
                });
                assert!(told.iter().any(Option::is_some), "{before} is looked at");
            }
        }

        #[test]
        fn the_largest_schemas_that_are_looked_at_take_no_long() {
            let doubling: String = (0..10).fold(String::new(), |defs, level| {
                let next = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, level + 1);
                format!(r##"{defs}"d{level}":{{"allOf":[{next},{next}]}},"##)
            });
            let doubling = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{doubling}"d10":{{"required":["b"]}}}}}}"##);
            let branches = nested(10, r#"{"anyOf":[{"type":"null"},"#, "]}").replace("string", "null");
            for schema in [doubling, branches] {
                let begun = Instant::now();
                assert!(matches!(of(&schema, r#"{"a":7}"#), Some(Some(_))), "{schema}");
                assert!(
                    begun.elapsed() < Duration::from_secs(2),
                    "{:?}: {schema}",
                    begun.elapsed()
                );
            }
        }
    }
}
