//! JSON in one form for all ways to write it, as bytes for a hash: white space, escapes, the order of members and the forms
//! of numbers do not matter, as far as they say the same to an engine. What stands in it is never lost: two values have the
//! same form only if they are the same value.
//!
//! Inside schemas and arguments the order of members and the forms of numbers do matter: engines generate what a schema
//! describes in its order, and templates print both.

use std::borrow::Cow;

use crate::api::{JsonCursor, json_string};

/// How much of what is written counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The values alone. So many levels of objects deep; what is deeper counts as it is written.
    Values {
        /// How many levels are left.
        levels: u8,
    },
    /// Of a description, such as that of a tool: the order of the members that it has itself does not matter, and that of
    /// whatever they hold does, unless that is such a description again.
    Described,
    /// The order of members and the forms of numbers, too.
    AsWritten,
}

impl Form {
    /// That of a parameter whose members the API defines: a message's parts nest as deep as that.
    pub const VALUES: Self = Self::Values { levels: 8 };

    /// That of a member of an object of this form.
    fn of_member(self, name: &str) -> Self {
        match self {
            Self::Values { levels } if levels > 0 && !WRITTEN.contains(&name) => Self::Values { levels: levels - 1 },
            Self::Described if DESCRIPTIONS.contains(&name) => Self::Described,
            Self::Values { .. } | Self::Described | Self::AsWritten => Self::AsWritten,
        }
    }
}

/// Hands the form of a valid JSON value out, piece by piece. The pieces end to end say where each part of it ends.
pub(super) fn write(json: &str, form: Form, out: &mut impl FnMut(&[u8])) {
    value(&mut JsonCursor::new(json), form, out);
}

/// The same as one piece.
pub(super) fn written(json: &str, form: Form) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(json, form, &mut |piece| bytes.extend_from_slice(piece));
    bytes
}

fn value(cursor: &mut JsonCursor<'_>, form: Form, out: &mut impl FnMut(&[u8])) {
    if cursor.enter(b'[') {
        out(b"[");
        while cursor.next() {
            value(cursor, form, out);
        }
        out(b"]");
    } else if cursor.enter(b'{') {
        out(b"{");
        match form {
            Form::AsWritten => {
                while cursor.next() {
                    string(cursor.pass(), out);
                    value(cursor, form, out);
                }
            }
            Form::Values { .. } | Form::Described => members(cursor, form, out),
        }
        out(b"}");
    } else {
        scalar(cursor.pass(), form, out);
    }
}

/// The members of an object, in the order of their names; those of one name stay in their order, as engines differ in which
/// of them counts.
fn members(cursor: &mut JsonCursor<'_>, form: Form, out: &mut impl FnMut(&[u8])) {
    let mut members: Vec<(Cow<'_, str>, &str, &str)> = Vec::new();
    while cursor.next() {
        let name = cursor.pass();
        members.push((json_string(name).unwrap_or(Cow::Borrowed(name)), name, cursor.pass()));
    }
    members.sort_by(|one, other| one.0.cmp(&other.0));
    for (known, name, json) in members {
        string(name, out);
        value(&mut JsonCursor::new(json), form.of_member(&known), out);
    }
}

fn scalar(json: &str, form: Form, out: &mut impl FnMut(&[u8])) {
    match (json.as_bytes().first(), form) {
        (Some(b'"'), _) => string(json, out),
        (Some(b'-' | b'0'..=b'9'), Form::Values { .. }) => match decimal(json) {
            Some(decimal) => part(b'#', decimal.as_bytes(), out),
            None => part(b'~', json.as_bytes(), out),
        },
        _ => part(b'~', json.as_bytes(), out),
    }
}

/// A string by its text; one that makes none, such as half a surrogate, as it is written.
fn string(json: &str, out: &mut impl FnMut(&[u8])) {
    match json_string(json) {
        Some(text) => part(b'"', text.as_bytes(), out),
        None => part(b'~', json.as_bytes(), out),
    }
}

/// The length keeps a part apart from what follows.
fn part(kind: u8, bytes: &[u8], out: &mut impl FnMut(&[u8])) {
    let mut head = [kind; 9];
    head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    out(&head);
    out(bytes);
}

/// A number as its digits without zeros at either end, and a power of ten; `None` where the power is beyond all reason.
fn decimal(json: &str) -> Option<String> {
    let (sign, unsigned) = match json.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", json),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some("0".to_owned());
    }
    let exponent: i64 = exponent.parse().ok()?;
    let shift = (significant.len() - trimmed.len()) as i64 - fraction.len() as i64;
    Some(format!("{sign}{trimmed}e{}", exponent.checked_add(shift)?))
}

/// Members of descriptions that describe something themselves, of a tool and of a format. Schemas stand within these under
/// names that engines have made up (`parameters`, `input_schema`, `schema`, `value`, `format`), so that all others count as
/// they are written.
const DESCRIPTIONS: [&str; 2] = ["function", "json_schema"];
/// Members of other parameters whose values engines print as they are written.
const WRITTEN: [&str; 3] = ["parameters", "schema", "arguments"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn values(json: &str) -> Vec<u8> {
        written(json, Form::VALUES)
    }

    #[test]
    fn ways_to_write_the_same_do_not_matter() {
        for (one, other) in [
            (
                r#"{"a":1,"b":[true,null]}"#,
                "{ \"b\" : [ true , null ],\n\"\\u0061\":1.0}",
            ),
            ("0", "-0.00e7"),
            ("1", "10e-1"),
            ("1.5e3", "1500"),
            ("-0.25", "-25E-2"),
            (r#""é/""#, r#""\u00e9\/""#),
            (
                r#"{"tools":[{"function":{"name":"f","parameters":{"a":1}}}]}"#,
                r#"{"tools":[{"function":{"parameters":{"a":1},"name":"f"}}]}"#,
            ),
        ] {
            assert_eq!(values(one), values(other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_another_value_has_another_form() {
        let all = [
            "0",
            "1",
            "-1",
            "10",
            "0.1",
            "1e400",
            "\"1\"",
            "true",
            "null",
            "\"null\"",
            "[]",
            "[[]]",
            "{}",
            "[1,2]",
            "[12]",
            "[2,1]",
            r#"["a","b"]"#,
            r#"["ab"]"#,
            r#"{"a":1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":2,"a":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":{},"b":1}"#,
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\\ud800""#,
            r#"{"schema":{"a":1,"b":2}}"#,
            r#"{"schema":{"b":2,"a":1}}"#,
            r#"{"schema":{"a":1.0,"b":2}}"#,
            r#"{"\ud800":1}"#,
            r#"{"\udc00":1}"#,
            r#"{"":1}"#,
            "1e99999999999999999999",
            "2e99999999999999999999",
        ];
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(values(one), values(other), "{one} {other}");
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "(?s).{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]{0,2}|schema", inner, 0..4).prop_map(Value::from_iter),
            ]
        })
    }

    /// The same value with members the other way about, spaces, and numbers with a fraction, outside of schemas.
    fn rewritten(json: &Value, levels: u8) -> String {
        match json {
            Value::Number(number) if levels > 0 => format!("{number}.0 "),
            Value::Array(array) => {
                let elements: Vec<_> = array.iter().map(|element| rewritten(element, levels)).collect();
                format!("[ {}]", elements.join(" , "))
            }
            Value::Object(object) => {
                let member = |(name, value): (&String, &Value)| {
                    let levels = if WRITTEN.contains(&name.as_str()) { 0 } else { levels };
                    format!("{} : {}", Value::from(name.as_str()), rewritten(value, levels))
                };
                let mut members: Vec<_> = object.iter().map(member).collect();
                if levels > 0 {
                    members.reverse();
                }
                format!("{{{} }}", members.join(","))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => json.to_string(),
        }
    }

    proptest! {
        #[test]
        fn forms_are_equal_exactly_where_values_are(one in any_json(), other in any_json()) {
            prop_assert_eq!(values(&one.to_string()), values(&rewritten(&one, 8)));
            prop_assert_eq!(values(&one.to_string()) == values(&other.to_string()), one == other);
        }
    }
}
