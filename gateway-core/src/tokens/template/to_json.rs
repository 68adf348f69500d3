//! The `tojson` filter as transformers overrides it (`utils/chat_template_utils.py`): Python's `json.dumps`, which
//! escapes nothing for HTML, puts spaces behind commas and colons, and keeps what is no ASCII unless asked.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::python;

/// `value | tojson(ensure_ascii, indent, separators, sort_keys)`.
///
/// # Errors
/// When `value` is nothing that JSON has, nests too deep, or the fuel runs out.
pub fn to_json(
    state: &State<'_, '_>,
    value: &Value,
    ensure_ascii: Option<bool>,
    named: Kwargs,
) -> Result<String, Error> {
    let ensure_ascii = match ensure_ascii {
        Some(given) => given,
        None => named.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    let indent = indent(named.get::<Option<Value>>("indent")?)?;
    let separators: Option<Vec<String>> = named.get("separators")?;
    let sort_keys = named.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    named.assert_all_used()?;
    let (between_items, behind_key) = match separators.as_deref() {
        Some([item, key]) => (item.as_str(), key.as_str()),
        Some(_) => return Err(unfit("separators are two")),
        None if indent.is_some() => (",", ": "),
        None => (", ", ": "),
    };
    let mut writer = Writer {
        state,
        json: String::new(),
        paid: 0,
        depth: 0,
        ensure_ascii,
        sort_keys,
        indent: indent.as_deref(),
        between_items,
        behind_key,
    };
    writer.value(value)?;
    Ok(writer.json)
}

/// What one level is indented by; none for all on one line.
fn indent(given: Option<Value>) -> Result<Option<String>, Error> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        return Ok(None);
    };
    if let Some(text) = given.as_str() {
        return Ok(Some(text.to_owned()));
    }
    python::spaces(&given).map(Some)
}

struct Writer<'a> {
    state: &'a State<'a, 'a>,
    json: String,
    /// How many bytes of `json` fuel was paid for.
    paid: usize,
    depth: usize,
    ensure_ascii: bool,
    sort_keys: bool,
    indent: Option<&'a str>,
    between_items: &'a str,
    behind_key: &'a str,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        self.pay()?;
        if let Some(text) = value.as_str() {
            self.string(text);
            return Ok(());
        }
        let kind = value.kind();
        if kind == ValueKind::Map {
            return self.object(value);
        }
        if kind == ValueKind::Seq {
            return self.array(value);
        }
        if kind == ValueKind::None {
            self.json.push_str("null");
        } else if kind == ValueKind::Bool {
            self.json.push_str(if value.is_true() { "true" } else { "false" });
        } else {
            self.number(value)?;
        }
        Ok(())
    }

    fn number(&mut self, value: &Value) -> Result<(), Error> {
        match python::as_float(value) {
            Some(number) if number.is_nan() => self.json.push_str("NaN"),
            Some(f64::INFINITY) => self.json.push_str("Infinity"),
            Some(f64::NEG_INFINITY) => self.json.push_str("-Infinity"),
            Some(number) => self.json.push_str(&python::repr(number)),
            None if value.is_integer() => _ = write!(self.json, "{value}"),
            None => return Err(unfit("not JSON serializable")),
        }
        Ok(())
    }

    fn array(&mut self, value: &Value) -> Result<(), Error> {
        self.open('[')?;
        let mut empty = true;
        for item in value.try_iter()? {
            self.item(empty);
            empty = false;
            self.value(&item)?;
        }
        self.close(']', empty);
        Ok(())
    }

    fn object(&mut self, value: &Value) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sort_keys {
            keys.sort();
        }
        self.open('{')?;
        for (index, key) in keys.iter().enumerate() {
            self.item(index == 0);
            self.key(key)?;
            self.json.push_str(self.behind_key);
            self.value(&value.get_item(key)?)?;
        }
        self.close('}', keys.is_empty());
        Ok(())
    }

    fn key(&mut self, key: &Value) -> Result<(), Error> {
        match key.as_str() {
            Some(text) => self.string(text),
            None if matches!(key.kind(), ValueKind::Number | ValueKind::Bool | ValueKind::None) => {
                self.json.push('"');
                self.value(key)?;
                self.json.push('"');
            }
            None => return Err(unfit("keys must be text")),
        }
        Ok(())
    }

    fn open(&mut self, bracket: char) -> Result<(), Error> {
        self.json.push(bracket);
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(unfit("nested too deep"));
        }
        Ok(())
    }

    fn item(&mut self, first: bool) {
        if !first {
            self.json.push_str(self.between_items);
        }
        self.line();
    }

    fn close(&mut self, bracket: char, empty: bool) {
        self.depth -= 1;
        if !empty {
            self.line();
        }
        self.json.push(bracket);
    }

    fn line(&mut self) {
        if let Some(indent) = self.indent {
            self.json.push('\n');
            self.json.extend(std::iter::repeat_n(indent, self.depth));
        }
    }

    fn string(&mut self, text: &str) {
        self.json.push('"');
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            let special = byte < b' ' || matches!(byte, b'"' | b'\\') || (self.ensure_ascii && byte >= 0x7F);
            if !special || !text.is_char_boundary(at) {
                continue;
            }
            let character = text[at..].chars().next().unwrap_or_default();
            self.json.push_str(&text[plain..at]);
            self.escape(character);
            plain = at + character.len_utf8();
        }
        self.json.push_str(&text[plain..]);
        self.json.push('"');
    }

    fn escape(&mut self, character: char) {
        match character {
            '"' => self.json.push_str("\\\""),
            '\\' => self.json.push_str("\\\\"),
            '\n' => self.json.push_str("\\n"),
            '\r' => self.json.push_str("\\r"),
            '\t' => self.json.push_str("\\t"),
            '\u{8}' => self.json.push_str("\\b"),
            '\u{c}' => self.json.push_str("\\f"),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    _ = write!(self.json, "\\u{unit:04x}");
                }
            }
        }
    }

    /// Pays for what was written since the last time, and for one value: a small structure that contains itself many
    /// times over must not grow without bound.
    fn pay(&mut self) -> Result<(), Error> {
        let written = (self.json.len() - self.paid) as u64;
        self.paid = self.json.len();
        self.state.consume_fuel(1 + written / BYTES_PER_FUEL)
    }
}

fn unfit(reason: &'static str) -> Error {
    Error::new(ErrorKind::BadSerialization, reason)
}

/// Far below Python's own limit on recursion, and above what a request's body may nest.
const MAX_DEPTH: usize = 256;
/// What the engine itself charges for bytes that it writes.
const BYTES_PER_FUEL: u64 = 64;

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    use super::super::read;
    use super::*;

    fn written(json: &str, expression: &str) -> String {
        let mut environment = Environment::new();
        environment.add_filter("tojson", to_json);
        let value = read::value(json).unwrap();
        let rendered = environment.render_str(&format!("{{{{ value | {expression} }}}}"), context! { value });
        rendered.unwrap_or_else(|error| error.kind().to_string())
    }

    #[test]
    fn json_looks_as_python_writes_it() {
        let value = r#"{"z":[1,1.0,1e-5,1e22,12345678901234567890123],"a":{"é😀":"<b>'\"\\\n\u0001\u007f"},"e":[],"n":null,"t":true}"#;
        assert_eq!(
            written(value, "tojson"),
            r#"{"z": [1, 1.0, 1e-05, 1e+22, 12345678901234567890123], "a": {"é😀": "<b>'\"\\\n\u0001"#.to_owned()
                + "\u{7f}\"}, \"e\": [], \"n\": null, \"t\": true}"
        );
        assert_eq!(
            written(r#"{"é":"😀"}"#, "tojson(ensure_ascii=true)"),
            r#"{"\u00e9": "\ud83d\ude00"}"#
        );
        assert_eq!(
            written(r#"{"b":[1,{}],"a":2}"#, "tojson(indent=2, sort_keys=true)"),
            "{\n  \"a\": 2,\n  \"b\": [\n    1,\n    {}\n  ]\n}"
        );
        assert_eq!(
            written(r#"{"b":[1,2]}"#, "tojson(separators=(',', ':'))"),
            r#"{"b":[1,2]}"#
        );
        assert_eq!(written("[NaN,-Infinity]", "tojson"), "[NaN, -Infinity]");
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        assert!(written("{}", "attr('x') | tojson").starts_with("could not serialize"));
        assert!(written("1", "tojson(indent=100)").starts_with("invalid operation"));
    }
}
