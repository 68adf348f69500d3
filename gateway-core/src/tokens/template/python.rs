//! What Python does with values where the template engine does otherwise: how floats print, what counts as white
//! space, and the methods of strings that chat templates call. The engine and its `pycompat` cover the rest.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::print;

/// A float as a template value. One that the engine would print in another way than Python becomes an object of its
/// own: it prints right everywhere, but cannot be calculated with.
pub fn float(number: f64) -> Value {
    let plain = number == 0.0 || (SMALLEST_PLAIN..LARGEST_PLAIN).contains(&number.abs());
    if plain {
        Value::from(number)
    } else {
        Value::from_object(Float(number))
    }
}

/// The float in `value`, if it is one.
pub fn as_float(value: &Value) -> Option<f64> {
    match value.downcast_object_ref::<Float>() {
        Some(Float(number)) => Some(*number),
        None if value.is_number() && !value.is_integer() => f64::try_from(value.clone()).ok(),
        None => None,
    }
}

/// `repr(number)` of a finite one: the shortest digits that give it back, with an exponent below 1e-4 and from 1e16 on.
pub fn repr(number: f64) -> String {
    let plain = number == 0.0 || (SMALLEST_PLAIN..LARGEST_PLAIN).contains(&number.abs());
    if plain {
        return format!("{number:?}");
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => scientific,
    }
}

/// `str.isspace` of one character: Unicode's white space, and the four separators of ASCII.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// Jinja's test `sequence`: what has a length and can be indexed, strings and dicts too.
pub fn is_sequence(value: &Value) -> bool {
    let kind = value.kind();
    matches!(
        kind,
        ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Undefined
    )
}

/// Jinja's test `number`, which truth values pass too.
pub fn is_number(value: &Value) -> bool {
    value.is_number() || value.kind() == ValueKind::Bool || as_float(value).is_some()
}

/// Jinja's test `iterable`. The engine goes through `None` as if it were empty, Python does not.
pub fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// The `indent` filter: every line but the first, and those that are empty, behind `width` spaces or that text.
///
/// # Errors
/// When it is indented too far.
pub fn indent(
    state: &State<'_, '_>,
    value: &Value,
    width: Option<Value>,
    first: Option<bool>,
    named: Kwargs,
) -> Result<String, Error> {
    let width = width.map_or_else(|| named.get("width"), |width| Ok(Some(width)))?;
    let first = first.map_or_else(|| named.get("first"), |first| Ok(Some(first)))?;
    let blank: Option<bool> = named.get("blank")?;
    named.assert_all_used()?;
    let indention = match &width {
        None => " ".repeat(4),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => spaces(width)?,
        },
    };
    // The line break that Jinja adds: text that ends in one keeps it.
    let text = format!("{}\n", print::text(state, value)?);
    let lines = lines(&text, false);
    state.consume_fuel((lines.len() * indention.len()) as u64 / BYTES_PER_FUEL)?;
    let mut indented = String::with_capacity(text.len() + lines.len() * indention.len());
    for (index, line) in lines.iter().enumerate() {
        let (is_first, is_blank) = (index == 0, line.is_empty());
        if !is_first {
            indented.push('\n');
        }
        let wanted = if is_first {
            first.unwrap_or(false)
        } else {
            !is_blank || blank.unwrap_or(false)
        };
        if wanted {
            indented.push_str(&indention);
        }
        indented.push_str(line);
    }
    Ok(indented)
}

/// That many spaces.
///
/// # Errors
/// When `width` is no number, or a large one.
pub fn spaces(width: &Value) -> Result<String, Error> {
    let unfit = || Error::new(ErrorKind::InvalidOperation, "no width, or a large one");
    let width = usize::try_from(width.as_i64().ok_or_else(unfit)?).unwrap_or(0);
    if width > MAX_INDENT {
        return Err(unfit());
    }
    Ok(" ".repeat(width))
}

/// The `trim` filter: `str.strip` of what `value` prints as.
///
/// # Errors
/// When it cannot be printed.
pub fn trim(state: &State<'_, '_>, value: &Value, characters: Option<&str>) -> Result<Value, Error> {
    let text = print::text(state, value)?;
    Ok(Value::from(strip(&text, characters, Side::Both)))
}

/// Methods that Python's values have and the engine's have not.
pub fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return pycompat::unknown_method_callback(state, value, name, args);
    };
    match name {
        "strip" => stripped(text, args, Side::Both),
        "lstrip" => stripped(text, args, Side::Left),
        "rstrip" => stripped(text, args, Side::Right),
        "split" => split(text, args),
        "rsplit" => rsplit(text, args),
        "splitlines" => splitlines(text, args),
        "title" => from_args(args).map(|()| Value::from(title(text))),
        "capitalize" => from_args(args).map(|()| Value::from(capitalize(text))),
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)))
        }
        _ => pycompat::unknown_method_callback(state, value, name, args),
    }
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
    Both,
}

fn stripped(text: &str, args: &[Value], side: Side) -> Result<Value, Error> {
    let (characters,): (Option<&str>,) = from_args(args)?;
    Ok(Value::from(strip(text, characters, side)))
}

fn strip<'a>(text: &'a str, characters: Option<&str>, side: Side) -> &'a str {
    let goes = |character: char| characters.map_or_else(|| is_space(character), |set| set.contains(character));
    match side {
        Side::Left => text.trim_start_matches(goes),
        Side::Right => text.trim_end_matches(goes),
        Side::Both => text.trim_matches(goes),
    }
}

/// Separator and the most splits to make, as `split` and `rsplit` take them.
fn split_args(args: &[Value]) -> Result<(Option<String>, usize), Error> {
    let (separator, most, named): (Option<String>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = match separator {
        Some(separator) => Some(separator),
        None => named.get("sep")?,
    };
    let most = match most {
        Some(most) => most,
        None => named.get::<Option<i64>>("maxsplit")?.unwrap_or(-1),
    };
    named.assert_all_used()?;
    if separator.as_deref() == Some("") {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    Ok((separator, usize::try_from(most).unwrap_or(usize::MAX)))
}

fn split(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most) = split_args(args)?;
    let Some(separator) = separator else {
        return Ok(words(text, most));
    };
    Ok(text
        .splitn(most.saturating_add(1), &separator)
        .map(Value::from)
        .collect())
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most) = split_args(args)?;
    let Some(separator) = separator else {
        let unlimited = most == usize::MAX;
        let refused = || Error::new(ErrorKind::InvalidOperation, "rsplit by white space, limited");
        return unlimited.then(|| words(text, most)).ok_or_else(refused);
    };
    let mut parts: Vec<Value> = text
        .rsplitn(most.saturating_add(1), &separator)
        .map(Value::from)
        .collect();
    parts.reverse();
    Ok(Value::from(parts))
}

/// What stands between runs of white space; behind `most` splits the rest stays together.
fn words(text: &str, most: usize) -> Value {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = rest.find(is_space).filter(|_| words.len() < most);
        let Some(end) = end else {
            words.push(Value::from(if words.len() < most {
                rest
            } else {
                rest.trim_end_matches(is_space)
            }));
            break;
        };
        words.push(Value::from(&rest[..end]));
        rest = rest[end..].trim_start_matches(is_space);
    }
    Value::from(words)
}

fn splitlines(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (keep_ends, named): (Option<bool>, Kwargs) = from_args(args)?;
    let keep_ends = match keep_ends {
        Some(keep_ends) => keep_ends,
        None => named.get::<Option<bool>>("keepends")?.unwrap_or(false),
    };
    named.assert_all_used()?;
    Ok(lines(text, keep_ends).into_iter().map(Value::from).collect())
}

/// Lines, which end in any of the ways that `str.splitlines` knows.
fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let ends = |character: char| {
        matches!(
            character,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((end, character)) = rest.char_indices().find(|(_, character)| ends(*character)) {
        let width = if rest[end..].starts_with("\r\n") {
            2
        } else {
            character.len_utf8()
        };
        lines.push(&rest[..if keep_ends { end + width } else { end }]);
        rest = &rest[end + width..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// `str.title`: every letter behind something that has no case in upper case, the others in lower case.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut in_word = false;
    for character in text.chars() {
        if in_word {
            titled.extend(character.to_lowercase());
        } else {
            push_title_case(&mut titled, character);
        }
        in_word = character.is_lowercase() || character.is_uppercase();
    }
    titled
}

/// `str.capitalize`: the first character in upper case, the others in lower case.
pub fn capitalize(text: &str) -> String {
    let mut capitalized = String::with_capacity(text.len());
    let mut characters = text.chars();
    if let Some(first) = characters.next() {
        push_title_case(&mut capitalized, first);
    }
    capitalized + &characters.as_str().to_lowercase()
}

/// A letter at the beginning of a word: of a ligature only the first letter is large.
fn push_title_case(text: &mut String, character: char) {
    let mut upper = character.to_uppercase();
    text.extend(upper.next());
    text.extend(upper.flat_map(char::to_lowercase));
}

/// A float that Python prints with an exponent, or that is no number.
#[derive(Debug)]
struct Float(f64);

impl Object for Float {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            number if number.is_nan() => f.write_str("nan"),
            f64::INFINITY => f.write_str("inf"),
            f64::NEG_INFINITY => f.write_str("-inf"),
            number => f.write_str(&repr(number)),
        }
    }
}

/// From here on, and below [`LARGEST_PLAIN`], Python writes no exponent (`float_repr_style`, format code `r`).
const SMALLEST_PLAIN: f64 = 1e-4;
const LARGEST_PLAIN: f64 = 1e16;
/// Templates indent by 2, 4 or 8.
const MAX_INDENT: usize = 64;
/// What the engine itself charges for bytes that it writes.
const BYTES_PER_FUEL: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_prints_them() {
        for (number, printed) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.5, "1.5"),
            (1e-4, "0.0001"),
            (0.00001, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (123_456_789.123, "123456789.123"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (-1.5e300, "-1.5e+300"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(repr(number), printed);
            assert_eq!(float(number).to_string(), printed);
            assert_eq!(as_float(&float(number)), Some(number));
        }
        assert_eq!(as_float(&Value::from(1)), None);
    }

    #[test]
    fn words_and_lines_are_pythons() {
        let split = |text, args: &[Value]| super::split(text, args).unwrap().to_string();
        assert_eq!(split(" a\u{1f}b \t c ", &[]), "['a', 'b', 'c']");
        assert_eq!(split(" a b  c ", &[Value::from(()), Value::from(1)]), "['a', 'b  c']");
        assert_eq!(split("a--b", &[Value::from("-")]), "['a', '', 'b']");
        assert!(super::split("a", &[Value::from("")]).is_err());
        let lines = splitlines("a\r\nb\u{2028}c\n\n", &[]).unwrap();
        assert_eq!(lines.to_string(), "['a', 'b', 'c', '']");
        assert_eq!(
            title("they're bill's 3rd ﬁn 晴れtrue"),
            "They'Re Bill'S 3Rd Fin 晴れTrue"
        );
        assert_eq!(capitalize("ﬁN ÉT"), "Fin ét");
    }
}
