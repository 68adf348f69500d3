//! JSON text -> template values, as Python's `json.loads` reads it, because templates were written against that:
//! integers stay integers however wide, 1.0 stays a float, the last of two equal keys wins where the first one stands,
//! and `NaN` and `Infinity` are numbers. Values are made in one pass, without a tree in between.

use std::borrow::Cow;

use memchr::memchr2;
use minijinja::Value;
use thiserror::Error;

use super::python;

/// Why a text cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// It is no JSON.
    #[error("no JSON at byte {at}")]
    Syntax {
        /// Where reading ended, in bytes.
        at: usize,
    },
    /// Something else than what belongs here.
    #[error("expected {expected}")]
    Kind {
        /// What belongs here.
        expected: &'static str,
    },
    /// Arrays and objects in one another.
    #[error("nested deeper than {MAX_DEPTH}")]
    Depth,
    /// An integer of more than 128 bits, which Python has and the template engine has not.
    #[error("an integer of more than 128 bits")]
    Wide,
    /// Half of a surrogate pair: Python reads it, but no tokenizer takes it.
    #[error("half of a surrogate pair")]
    Surrogate,
}

/// Keys and values of an object, in the order written.
pub type Members = Vec<(Value, Value)>;

/// The value that `text` is.
///
/// # Errors
/// When it is none, or one that the template engine has no value for.
pub fn value(text: &str) -> Result<Value, ReadError> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    reader.end()?;
    Ok(value)
}

/// The objects in the array that `text` is.
///
/// # Errors
/// Also when it is another array, or none.
pub fn objects(text: &str) -> Result<Vec<Members>, ReadError> {
    let mut reader = Reader::new(text);
    let mut objects = Vec::new();
    reader.expect(b'[', "an array of objects")?;
    while reader.next(objects.is_empty(), b']')? {
        objects.push(reader.object()?);
    }
    reader.end()?;
    Ok(objects)
}

/// The members of the object that `text` is.
///
/// # Errors
/// Also when it is something else.
pub fn members(text: &str) -> Result<Members, ReadError> {
    let mut reader = Reader::new(text);
    let members = reader.object()?;
    reader.end()?;
    Ok(members)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    fn value(&mut self) -> Result<Value, ReadError> {
        match self.peek() {
            Some(b'"') => Ok(Value::from(self.string()?)),
            Some(b'{') => self.object().map(Value::from_pairs),
            Some(b'[') => self.array(),
            Some(b'-' | b'0'..=b'9') if !self.rest().starts_with("-I") => self.number(),
            Some(_) => self.word(),
            None => Err(self.syntax()),
        }
    }

    fn array(&mut self) -> Result<Value, ReadError> {
        let mut items = Vec::new();
        self.expect(b'[', "an array")?;
        while self.next(items.is_empty(), b']')? {
            items.push(self.value()?);
        }
        Ok(Value::from(items))
    }

    fn object(&mut self) -> Result<Members, ReadError> {
        let mut members = Members::new();
        self.expect(b'{', "an object")?;
        while self.next(members.is_empty(), b'}')? {
            if self.peek() != Some(b'"') {
                return Err(self.syntax());
            }
            let key = Value::from(self.string()?);
            if self.peek() != Some(b':') {
                return Err(self.syntax());
            }
            self.at += 1;
            members.push((key, self.value()?));
        }
        Ok(members)
    }

    /// Opens an array or object.
    fn expect(&mut self, open: u8, expected: &'static str) -> Result<(), ReadError> {
        if self.peek() != Some(open) {
            return Err(ReadError::Kind { expected });
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ReadError::Depth);
        }
        Ok(())
    }

    /// Whether another item follows; otherwise the array or object is closed.
    fn next(&mut self, first: bool, close: u8) -> Result<bool, ReadError> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                match self.peek() {
                    Some(byte) if byte == close => Err(self.syntax()),
                    Some(_) | None => Ok(true),
                }
            }
            Some(_) | None => Err(self.syntax()),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, ReadError> {
        self.at += 1;
        let plain = self.plain()?;
        if self.text.as_bytes()[self.at] == b'"' {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = String::from(plain);
        while self.text.as_bytes()[self.at] == b'\\' {
            text.push(self.escape()?);
            text.push_str(self.plain()?);
        }
        self.at += 1;
        Ok(Cow::Owned(text))
    }

    /// What stands before the next quote or backslash, which exists.
    fn plain(&mut self) -> Result<&'a str, ReadError> {
        let rest = self.rest();
        let end = memchr2(b'"', b'\\', rest.as_bytes()).ok_or_else(|| self.syntax())?;
        let plain = &rest[..end];
        if plain.bytes().any(|byte| byte < b' ') {
            return Err(self.syntax());
        }
        self.at += end;
        Ok(plain)
    }

    fn escape(&mut self) -> Result<char, ReadError> {
        let kind = self.text.as_bytes().get(self.at + 1).copied();
        let plain = match kind {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => return self.unicode_escape(),
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(_) | None => return Err(self.syntax()),
        };
        self.at += 2;
        Ok(plain)
    }

    fn unicode_escape(&mut self) -> Result<char, ReadError> {
        let unit = self.unit()?;
        let high = match unit {
            0xD800..=0xDBFF => unit - 0xD800,
            _ => return char::from_u32(unit).ok_or(ReadError::Surrogate),
        };
        if !self.rest().starts_with("\\u") {
            return Err(ReadError::Surrogate);
        }
        match self.unit()? {
            low @ 0xDC00..=0xDFFF => {
                char::from_u32(0x1_0000 + (high << 10) + (low - 0xDC00)).ok_or(ReadError::Surrogate)
            }
            _ => Err(ReadError::Surrogate),
        }
    }

    /// The number in `\uXXXX`.
    fn unit(&mut self) -> Result<u32, ReadError> {
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.syntax())?;
        self.at += 6;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Value, ReadError> {
        let rest = self.rest();
        let end = rest
            .bytes()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let literal = &rest[..end.unwrap_or(rest.len())];
        let kind = number_kind(literal).ok_or_else(|| self.syntax())?;
        self.at += literal.len();
        match kind {
            NumberKind::Float => literal.parse().map(python::float).map_err(|_| self.syntax()),
            NumberKind::Integer => match literal.parse::<i64>() {
                Ok(integer) => Ok(Value::from(integer)),
                Err(_) => literal.parse::<i128>().map(Value::from).map_err(|_| ReadError::Wide),
            },
        }
    }

    fn word(&mut self) -> Result<Value, ReadError> {
        let words = [
            ("true", Value::from(true)),
            ("false", Value::from(false)),
            ("null", Value::from(())),
            ("NaN", python::float(f64::NAN)),
            ("Infinity", python::float(f64::INFINITY)),
            ("-Infinity", python::float(f64::NEG_INFINITY)),
        ];
        let rest = self.rest();
        let found = words.into_iter().find(|(word, _)| rest.starts_with(word));
        let (word, value) = found.ok_or_else(|| self.syntax())?;
        self.at += word.len();
        Ok(value)
    }

    fn end(&mut self) -> Result<(), ReadError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax()),
        }
    }

    /// The next byte that is not space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let space = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r'));
        self.at += space.count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn syntax(&self) -> ReadError {
        ReadError::Syntax { at: self.at }
    }
}

enum NumberKind {
    Integer,
    Float,
}

/// What number `literal` is by JSON's grammar, if it is one.
fn number_kind(literal: &str) -> Option<NumberKind> {
    let digits = |text: &'_ str| text.bytes().take_while(u8::is_ascii_digit).count();
    let unsigned = literal.strip_prefix('-').unwrap_or(literal);
    let whole = digits(unsigned);
    if whole == 0 || (whole > 1 && unsigned.starts_with('0')) {
        return None;
    }
    let mut rest = &unsigned[whole..];
    if rest.is_empty() {
        return Some(NumberKind::Integer);
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        if length == 0 {
            return None;
        }
        rest = &fraction[length..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = digits(exponent);
        if length == 0 {
            return None;
        }
        rest = &exponent[length..];
    }
    rest.is_empty().then_some(NumberKind::Float)
}

/// As deep as a request's body may nest, and far from what would overflow a stack.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(text: &str) -> String {
        value(text).map_or_else(|error| error.to_string(), |value| value.to_string())
    }

    #[test]
    fn values_print_as_python_prints_them() {
        assert_eq!(
            printed(r#" {"b":[1,1.0,-0,-0.0,1e-5,1E16,true,null,"it's","\ud83d\ude00\n"],"a":{},"b2":[]} "#),
            "{'b': [1, 1.0, 0, -0.0, 1e-05, 1e+16, True, None, \"it's\", '😀\\n'], 'a': {}, 'b2': []}"
        );
        assert_eq!(
            printed("[340282366920938463463374607431768]"),
            "[340282366920938463463374607431768]"
        );
        assert_eq!(printed("[NaN,Infinity,-Infinity,1e999]"), "[nan, inf, -inf, inf]");
        assert_eq!(printed(r#"{"a":1,"b":2,"a":3}"#), "{'a': 3, 'b': 2}");
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        for text in [
            "",
            "[",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            "1e",
            "-",
            "+1",
            ".5",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a",
            "\"\\",
            "[1 2]",
            "1 2",
            "nul",
            "\"\\u+123\"",
        ] {
            assert!(matches!(value(text), Err(ReadError::Syntax { .. })), "{text:?}");
        }
        assert_eq!(value(r#""\ud83d""#), Err(ReadError::Surrogate));
        assert_eq!(value(r#""\ud83d\u0041""#), Err(ReadError::Surrogate));
        assert_eq!(value(r#""\ude00""#), Err(ReadError::Surrogate));
        assert_eq!(value(&"9".repeat(50)), Err(ReadError::Wide));
        assert_eq!(value(&"[".repeat(1_000_000)), Err(ReadError::Depth));
        assert!(matches!(objects("{}"), Err(ReadError::Kind { .. })));
        assert!(matches!(objects("[1]"), Err(ReadError::Kind { .. })));
        assert!(matches!(members("[]"), Err(ReadError::Kind { .. })));
    }

    proptest! {
        #[test]
        fn strings_come_back_whatever_is_in_them(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let read = value(&json).unwrap();
            prop_assert_eq!(read.as_str(), Some(text.as_str()));
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            let read = value(&format!("\"{escaped}\"")).unwrap();
            prop_assert_eq!(read.as_str(), Some(text.as_str()));
        }

        #[test]
        fn what_serde_json_refuses_is_refused(text in r#"[\[\]{}",:\\0-9a-eE.+ -]{0,24}"#) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            let ours = !matches!(value(&text), Err(ReadError::Syntax { .. } | ReadError::Kind { .. }));
            // Python reads a number too large as infinity.
            prop_assert!(ours == theirs || (ours && text.contains(['e', 'E'])));
        }
    }
}
