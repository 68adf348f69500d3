//! What `{{ … }}` writes: `str` of a value, which for lists and dicts is Python's `repr` of what is in them.

use std::borrow::Cow;
use std::fmt::Write as _;

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};

/// Writes `value` into the prompt.
///
/// # Errors
/// When it nests too deep, or the fuel runs out.
pub fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let written = match value.as_str() {
        Some(text) => out.write_str(text),
        None if is_container(value) => out.write_str(&text(state, value)?),
        None => write!(out, "{value}"),
    };
    written.map_err(|_| Error::from(ErrorKind::WriteFailure))
}

/// `str(value)`.
///
/// # Errors
/// When it nests too deep, or the fuel runs out.
pub fn text<'v>(state: &State<'_, '_>, value: &'v Value) -> Result<Cow<'v, str>, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Cow::Borrowed(text));
    }
    if !is_container(value) {
        return Ok(Cow::Owned(value.to_string()));
    }
    let mut printer = Printer {
        state,
        text: String::new(),
        paid: 0,
        depth: 0,
    };
    printer.value(value)?;
    Ok(Cow::Owned(printer.text))
}

fn is_container(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map)
}

struct Printer<'a> {
    state: &'a State<'a, 'a>,
    text: String,
    /// How many bytes of `text` fuel was paid for.
    paid: usize,
    depth: usize,
}

impl Printer<'_> {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        // A small list that contains itself many times over must not print without bound.
        let written = (self.text.len() - self.paid) as u64;
        self.paid = self.text.len();
        self.state.consume_fuel(1 + written / BYTES_PER_FUEL)?;
        if let Some(text) = value.as_str() {
            self.quoted(text);
        } else if is_container(value) {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(Error::new(ErrorKind::InvalidOperation, "nested too deep to print"));
            }
            self.container(value)?;
            self.depth -= 1;
        } else if value.is_undefined() {
            self.text.push_str("Undefined");
        } else {
            _ = write!(self.text, "{value}");
        }
        Ok(())
    }

    fn container(&mut self, value: &Value) -> Result<(), Error> {
        let is_map = value.kind() == ValueKind::Map;
        let is_tuple = value.downcast_object_ref::<Tuple>().is_some();
        let (open, close) = match (is_map, is_tuple) {
            (true, _) => ("{", "}"),
            (false, true) if value.len() == Some(1) => ("(", ",)"),
            (false, true) => ("(", ")"),
            (false, false) => ("[", "]"),
        };
        self.text.push_str(open);
        for (index, item) in value.try_iter()?.enumerate() {
            if index > 0 {
                self.text.push_str(", ");
            }
            self.value(&item)?;
            if is_map {
                self.text.push_str(": ");
                self.value(&value.get_item(&item)?)?;
            }
        }
        self.text.push_str(close);
        Ok(())
    }

    /// `repr` of a string: in the quotes that need less escaping, with what cannot be seen by its number.
    fn quoted(&mut self, text: &str) {
        let quote = if text.contains('\'') && !text.contains('"') {
            '"'
        } else {
            '\''
        };
        self.text.push(quote);
        for character in text.chars() {
            match character {
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\\' => self.text.push_str("\\\\"),
                _ if character == quote => self.text.extend(['\\', quote]),
                _ if is_printable(character) => self.text.push(character),
                '\0'..='\u{ff}' => _ = write!(self.text, "\\x{:02x}", u32::from(character)),
                '\u{100}'..='\u{ffff}' => _ = write!(self.text, "\\u{:04x}", u32::from(character)),
                _ => _ = write!(self.text, "\\U{:08x}", u32::from(character)),
            }
        }
        self.text.push(quote);
    }
}

/// `str.isprintable` of one character: neither control, format, surrogate, private nor unassigned, nor space but the
/// one. Rust's own escaping knows the same classes, and behind a letter escapes nothing else but quotes and backslash.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let mut text = String::from("a");
    text.push(character);
    text.escape_debug().nth(1) == Some(character)
}

/// Above what a request's body may nest.
const MAX_DEPTH: usize = 256;
/// What the engine itself charges for bytes that it writes.
const BYTES_PER_FUEL: u64 = 64;

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    use super::super::read;
    use super::*;

    fn printed(json: &str, expression: &str) -> String {
        let mut environment = Environment::new();
        environment.set_formatter(print);
        let value = read::value(json).unwrap();
        environment
            .render_str(&format!("{{{{ {expression} }}}}"), context! { value })
            .unwrap()
    }

    #[test]
    fn lists_and_dicts_print_as_python_shows_them() {
        assert_eq!(
            printed(r#"[{"a":"it's","b":"\"","c":"'\""},[],{},null,true,1.0,1e-7]"#, "value"),
            r#"[{'a': "it's", 'b': '"', 'c': '\'"'}, [], {}, None, True, 1.0, 1e-07]"#
        );
        assert_eq!(
            printed(
                "[\"\\n\\t\\\\\\u0001\u{7f}\u{a0}\u{ad}\u{301}é\u{200d}\u{3000}\u{e000}😀\u{e0001}\u{378}\"]",
                "value"
            ),
            "['\\n\\t\\\\\\x01\\x7f\\xa0\\xad\u{301}é\\u200d\\u3000\\ue000😀\\U000e0001\\u0378']"
        );
        assert_eq!(
            printed("1", "[(value,), (1, 2), (), nothing]"),
            "[(1,), (1, 2), (), Undefined]"
        );
        assert_eq!(printed("\"a'\"", "value"), "a'");
    }
}
