use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::*;

const TEXT: &str = "Try again \"later\".";

#[test]
fn the_text_stands_where_the_schema_has_a_place_for_it() {
    let strict = |properties: Value| {
        let required: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    for (schema, expected) in [
        (json!({}), json!({"error": TEXT})),
        (json!(true), json!({"error": TEXT})),
        (json!({"type": "object"}), json!({"error": TEXT})),
        (json!({"type": "string"}), json!(TEXT)),
        (
            strict(json!({"answer": {"type": ["string", "null"]}, "refusal": {"type": ["string", "null"]}})),
            json!({"answer": null, "refusal": TEXT}),
        ),
        (
            strict(json!({"error": {"type": "string", "minLength": 3, "maxLength": 100}, "steps": {"type": "array"}})),
            json!({"error": TEXT, "steps": []}),
        ),
        (
            strict(
                json!({"kind": {"const": "reply"}, "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "status": {"enum": ["ok"]}, "message": {"type": "string"}}),
            ),
            json!({"kind": "reply", "note": null, "status": "ok", "message": TEXT}),
        ),
        (
            // What is not required is left out, whatever it is.
            json!({"properties": {"score": {"minimum": 1, "oneOf": []}, "reason": {"title": "Why"}}}),
            json!({"reason": TEXT}),
        ),
        (
            strict(json!({"error": {"type": "object", "properties": {"message": {"type": "string"}}}})),
            json!({"error": {"message": TEXT}}),
        ),
        (
            strict(json!({"result": {"anyOf": [
                strict(json!({"amount": {"type": "number"}})), {"$ref": "#/$defs/sorry"}
            ]}})),
            json!(null),
        ),
    ] {
        let found = refusal(&schema, TEXT).unwrap_or_default();
        assert_eq!(found, expected, "{schema}");
    }
    let pydantic = json!({
        "$defs": {
            "Found": {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]},
            "Sorry": {"type": "object", "properties": {"error": {"type": "string"}, "more": {"$ref": "#/$defs/More"}},
                "required": ["error", "more"], "additionalProperties": false},
            "More": {"anyOf": [{"$ref": "#/$defs/Found"}, {"type": "null"}]}
        },
        "type": "object",
        "properties": {"result": {"anyOf": [{"$ref": "#/$defs/Found"}, {"$ref": "#/$defs/Sorry"}]}},
        "required": ["result"]
    });
    assert_eq!(
        refusal(&pydantic, TEXT),
        Some(json!({"result": {"error": TEXT, "more": null}}))
    );
}

#[test]
fn nothing_is_made_up_and_nothing_given_that_is_not_sure() {
    let with_error = |more: Value| {
        let properties = json!({"error": {"type": "string"}, "x": more});
        json!({"type": "object", "properties": properties, "required": ["error", "x"]})
    };
    for schema in [
        json!(false),
        json!({"type": "integer"}),
        json!({"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}),
        with_error(json!({"type": "number"})),
        with_error(json!({"type": "boolean"})),
        with_error(json!({"enum": ["yes", "no"]})),
        with_error(json!({"type": "string", "minLength": 1})),
        with_error(json!({"type": "string", "format": "date"})),
        with_error(json!({"type": "array", "minItems": 1})),
        with_error(json!({"not": {}})),
        with_error(json!({"$ref": "https://schemas.example/x"})),
        with_error(json!({"$ref": "#/$defs/none"})),
        json!({"type": "object", "properties": {"error": {"type": "string", "pattern": "^E"}}}),
        json!({"type": "object", "properties": {"error": {"type": "string", "maxLength": 5}}}),
        json!({"type": "object", "properties": {"error": {"type": "string"}}, "oneOf": [{}]}),
        json!({"type": "object", "properties": {"error": {"type": "string"}}, "required": ["else"]}),
        json!({"type": "object", "additionalProperties": false}),
        json!({"type": "object", "maxProperties": 0}),
        // Of themselves, without an end.
        json!({"$ref": "#"}),
        json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"type": "object", "properties": {"error": {"$ref": "#"}}, "required": ["error"]}),
    ] {
        assert_eq!(refusal(&schema, TEXT), None, "{schema}");
    }
}

#[test]
fn a_branch_of_a_union_is_taken_only_where_that_is_no_answer() {
    let object = |properties: Value| {
        let required: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    let text = || json!({"type": "string"});
    let beside = |branches: Value| object(json!({"error": text(), "x": {"anyOf": branches}}));
    for schema in [
        beside(json!([{"const": "approve"}, {"const": "reject"}])),
        beside(json!([{"enum": [true]}, {"enum": [false]}])),
        // The other branch cannot be built, and to take the first is a choice still.
        beside(json!([{"const": "approve"}, {"type": "number"}])),
        beside(json!([
            object(json!({"safe": {"const": true}})),
            object(json!({"safe": {"const": false}}))
        ])),
        beside(json!([object(json!({"a": beside(json!([{"const": 1}, {"const": 2}]))})), {"type": "number"}])),
        json!({"anyOf": [
            object(json!({"verdict": {"const": "approve"}, "reason": text()})),
            object(json!({"verdict": {"const": "reject"}, "reason": text()})),
        ]}),
        json!({"anyOf": [
            object(json!({"verdict": {"const": "approve"}, "reason": text(), "score": {"type": "number"}})),
            object(json!({"verdict": {"const": "reject"}, "reason": text()})),
        ]}),
        json!({"anyOf": [
            object(json!({"level": {"const": "warning"}, "message": text()})),
            object(json!({"level": {"const": "error"}, "message": text()})),
        ]}),
        object(json!({"error": text(), "allergy": {"enum": ["none", "mild"]}})),
        object(json!({"error": text(), "test": {"type": "string", "enum": ["passed", "failed"]}})),
    ] {
        assert_eq!(refusal(&schema, TEXT), None, "{schema}");
    }
    let found = object(json!({"kind": {"const": "found"}, "amount": {"type": "number"}}));
    let sorry = object(json!({"kind": {"const": "error"}, "message": text()}));
    let versioned = |name: &str| object(json!({"version": {"const": 1}, "error": text(), name: {"type": "array"}}));
    for (schema, expected) in [
        (
            json!({"anyOf": [found, sorry]}),
            json!({"kind": "error", "message": TEXT}),
        ),
        (
            json!({"anyOf": [object(json!({"kind": {"const": "reply"}, "error": text()})), {"type": "null"}]}),
            json!({"kind": "reply", "error": TEXT}),
        ),
        (
            json!({"anyOf": [versioned("a"), versioned("b")]}),
            json!({"version": 1, "error": TEXT, "a": []}),
        ),
        (
            beside(json!([{"const": "approve"}, {"const": "reject"}, {"type": "null"}])),
            json!({"error": TEXT, "x": null}),
        ),
    ] {
        assert_eq!(refusal(&schema, TEXT), Some(expected), "{schema}");
    }
}

/// Schemas of what is known and what is not, with more of what leaves room for a refusal.
fn schema() -> impl Strategy<Value = Value> {
    let nested = leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => object(inner.clone().boxed()),
            1 => prop::collection::vec(inner.clone(), 1..4).prop_map(|choices| json!({"anyOf": choices})),
            1 => prop::collection::vec(inner, 1..3).prop_map(|choices| json!({"oneOf": choices})),
        ]
    });
    (nested, 0_u64..30).prop_map(|(schema, least)| {
        let Value::Object(mut schema) = schema else {
            return schema;
        };
        let sorry = json!({"type": "object", "properties": {"error": {"type": "string", "minLength": least}},
            "required": ["error"], "additionalProperties": false});
        schema.insert("$defs".to_owned(), json!({"sorry": sorry}));
        schema.into()
    })
}

fn leaf() -> impl Strategy<Value = Value> {
    let bounds = (prop::option::of(0_u64..30), prop::option::of(0_u64..60));
    let bounded =
        bounds.prop_map(|(least, most)| with(json!({"type": "string"}), [("minLength", least), ("maxLength", most)]));
    let others = prop::sample::select(vec![
        json!({"type": ["string", "null"]}),
        json!({"type": ["string", "null"]}),
        json!({"type": ["integer", "null"], "minimum": 3}),
        json!({"type": "boolean"}),
        json!({"enum": ["yes", "none", 7, null]}),
        json!({"enum": ["yes", "no"], "type": "string"}),
        json!({"const": {"a": [1]}}),
        json!(true),
        json!({"type": "array", "items": {"type": "number"}, "minItems": 0, "uniqueItems": true}),
        json!({"$ref": "#/$defs/sorry"}),
        json!({"$ref": "#"}),
        json!({"type": "string", "pattern": "^a"}),
        json!({"allOf": [{"type": "string"}, {"minLength": 40}]}),
        json!({"not": {"type": "string"}}),
    ]);
    prop_oneof![1 => bounded, 3 => others]
}

fn object(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["error", "refusal", "message", "answer", "score", "detail"]);
    let members = prop::collection::btree_map(names, (inner, any::<bool>()), 0..4);
    let rest = (prop::option::of(any::<bool>()), prop::option::of(0_u64..4));
    (members, rest).prop_map(|(members, (others, least))| {
        let required = members.iter().filter(|(_, (_, is_required))| *is_required);
        let required: Vec<_> = required.map(|(name, _)| *name).collect();
        let properties: Map<_, _> = members
            .iter()
            .map(|(name, (schema, _))| ((*name).to_owned(), schema.clone()))
            .collect();
        let object = json!({"type": "object", "properties": properties, "required": required});
        with(
            with(object, [("additionalProperties", others)]),
            [("minProperties", least)],
        )
    })
}

fn with<T: Into<Value>, const N: usize>(mut schema: Value, keywords: [(&str, Option<T>); N]) -> Value {
    for (keyword, argument) in keywords {
        if let Some(argument) = argument {
            schema[keyword] = argument.into();
        }
    }
    schema
}

#[test]
fn many_of_these_schemas_leave_room_for_a_refusal() {
    let mut runner = TestRunner::deterministic();
    let schemas = (0..500).filter_map(|_| Some(schema().new_tree(&mut runner).ok()?.current()));
    let built = schemas.filter(|schema| refusal(schema, TEXT).is_some()).count();
    assert!((100..400).contains(&built), "{built} of 500");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_built_is_of_the_schema_and_says_the_text(schema in schema(), text in "\\PC{0,40}") {
        if let Some(built) = refusal(&schema, &text) {
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            prop_assert!(validator.is_valid(&built), "{schema} {built}");
            let said = leaves(&built);
            prop_assert!(said.contains(&&json!(text)), "{schema} {built}");
            // What the schemas above leave to whoever has nothing to say.
            let silent = [json!(text), json!(null), json!(""), json!([]), json!({}), json!("none"), json!(1)];
            prop_assert!(said.iter().all(|leaf| silent.contains(leaf)), "{schema} {built}");
        }
    }

    #[test]
    fn no_schema_at_all_makes_it_panic(keyword in "[a-zA-Z$]{1,20}", argument in any_json()) {
        let known = ["type", "enum", "const", "anyOf", "$ref", "properties", "required", "additionalProperties", "minLength"];
        for keyword in known.into_iter().chain([keyword.as_str()]) {
            let schema = json!({"type": "object", "properties": {"error": {}}, keyword: argument});
            if let (Some(built), Ok(validator)) = (refusal(&schema, TEXT), jsonschema::validator_for(&schema)) {
                prop_assert!(validator.is_valid(&built), "{schema} {built}");
            }
        }
    }
}

/// All that holds nothing else.
fn leaves(value: &Value) -> Vec<&Value> {
    let inner: Vec<_> = match value {
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        Value::Object(members) => members.values().flat_map(leaves).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    if inner.is_empty() { vec![value] } else { inner }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z#/$]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("error|type|properties|[a-z]{1,4}", inner), 0..3).prop_map(Value::from_iter),
        ]
    })
}
