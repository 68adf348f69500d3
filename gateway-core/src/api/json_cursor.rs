//! A cursor over JSON that a parser has accepted, from value to value, without reading what is in those that are passed.
//! Of JSON that nobody has accepted it makes something, and never panics.

use std::borrow::Cow;

use serde::Deserialize;

/// A position in JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonCursor<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> JsonCursor<'a> {
    /// Before the first value.
    pub fn new(json: &'a str) -> Self {
        Self { json, at: 0 }
    }

    /// Goes inside, if what comes next is an array (`[`) or an object (`{`), as `opening` says.
    pub fn enter(&mut self, opening: u8) -> bool {
        let is_next = self.pass_between() == Some(opening);
        self.at += usize::from(is_next);
        is_next
    }

    /// Goes to the next value, or the next member's name, inside the array or object; at its end, behind it, and gives
    /// false.
    pub fn next(&mut self) -> bool {
        let is_end = matches!(self.pass_between(), Some(b']' | b'}') | None);
        self.at += usize::from(is_end && self.at < self.json.len());
        !is_end
    }

    /// Passes what comes next, a value or a name, and gives it as it was written.
    pub fn pass(&mut self) -> &'a str {
        let opening = self.pass_between();
        let begin = self.at;
        let rest = &self.json.as_bytes()[begin..];
        self.at += match opening {
            Some(b'"') => 1 + string_length(&rest[1..]),
            Some(b'[' | b'{') => nested_length(rest),
            Some(_) | None => rest.iter().position(|byte| ends_value(*byte)).unwrap_or(rest.len()),
        };
        self.json.get(begin..self.at).unwrap_or_default()
    }

    /// Passes a member's name.
    pub fn name(&mut self) -> Cow<'a, str> {
        string(self.pass()).unwrap_or_default()
    }

    /// All from where `earlier` stood to here.
    pub fn since(&self, earlier: Self) -> &'a str {
        self.json.get(earlier.at..self.at).unwrap_or_default()
    }

    /// Goes to where the next value begins, and gives its first byte.
    fn pass_between(&mut self) -> Option<u8> {
        loop {
            match self.json.as_bytes().get(self.at) {
                Some(byte) if is_between(*byte) => self.at += 1,
                other => return other.copied(),
            }
        }
    }
}

/// The text of a JSON string, borrowed unless it holds escapes; `None` of what is no string.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let quoted = json.strip_prefix('"')?.strip_suffix('"')?;
    // Done with every token of a stream: what has no escapes needs no parser.
    if memchr::memchr(b'\\', quoted.as_bytes()).is_none() {
        return Some(Cow::Borrowed(quoted));
    }
    serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0)
}

/// Whether arrays and objects in `json` nest deeper than `limit`. It need not be valid JSON.
pub(super) fn nests_deeper_than(json: &[u8], limit: usize) -> bool {
    // Most have fewer brackets in all, wherever they stand.
    if memchr::memchr2_iter(b'[', b'{', json).nth(limit).is_none() {
        return false;
    }
    depths(json).any(|(_, depth)| depth > limit)
}

/// How long the array or object is that `json` begins with.
fn nested_length(json: &[u8]) -> usize {
    let end = depths(json).find(|(_, depth)| *depth == 0);
    end.map_or(json.len(), |(at, _)| at)
}

/// Behind each bracket, how many are open there.
fn depths(json: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let (mut at, mut depth) = (0, 0_usize);
    std::iter::from_fn(move || {
        loop {
            let byte = json.get(at)?;
            at += 1;
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b'"' => {
                    at += string_length(&json[at..]);
                    continue;
                }
                _ => continue,
            }
            return Some((at, depth));
        }
    })
}

/// How long the string is whose opening quote stands right before `json`, its closing quote included.
fn string_length(json: &[u8]) -> usize {
    let mut at = 0;
    loop {
        // Names are short; texts, which are most of a prompt, are passed over many bytes at a time.
        if at >= SHORT {
            let rest = json.get(at..).unwrap_or_default();
            at += memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        }
        match json.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return json.len(),
        }
    }
}

/// Whether it stands between values and names.
fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':')
}

/// Whether a number or a word ends before it.
fn ends_value(byte: u8) -> bool {
    is_between(byte) || matches!(byte, b']' | b'}')
}

/// Up to so many bytes a string is looked at byte by byte: a search takes as long to begin.
const SHORT: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn members(text: &str) -> Vec<(Cow<'_, str>, &str)> {
        let (mut cursor, mut found) = (JsonCursor::new(text), Vec::new());
        assert!(cursor.enter(b'{'));
        while cursor.next() {
            found.push((cursor.name(), cursor.pass()));
        }
        found
    }

    fn elements(text: &str) -> Vec<&str> {
        let (mut cursor, mut found) = (JsonCursor::new(text), Vec::new());
        assert!(cursor.enter(b'['));
        while cursor.next() {
            found.push(cursor.pass());
        }
        found
    }

    #[test]
    fn members_are_found_with_their_values_as_written() {
        let text =
            " {\"b\" :1.50e+3,\t\"a\":{\"a\":\"}\",\"b\":[[]]} ,\"\\u0063\": \"\\\\\",\"d\":[ 1,{}] ,\"e\":null} \n";
        let expected = [
            ("b", "1.50e+3"),
            ("a", "{\"a\":\"}\",\"b\":[[]]}"),
            ("c", "\"\\\\\""),
            ("d", "[ 1,{}]"),
            ("e", "null"),
        ];
        assert_eq!(members(text), expected.map(|(name, value)| (Cow::from(name), value)));
        assert_eq!(elements("[ 1,{}]"), ["1", "{}"]);
    }

    #[test]
    fn a_cursor_goes_inside_and_comes_out_behind() {
        let mut cursor = JsonCursor::new("[ {\"a\": [1]} ,2]");
        assert!(!cursor.enter(b'{') && cursor.enter(b'[') && cursor.next());
        let before = cursor;
        assert!(!cursor.enter(b'[') && cursor.enter(b'{') && cursor.next());
        assert_eq!(
            (cursor.name().as_ref(), cursor.enter(b'['), cursor.next()),
            ("a", true, true)
        );
        assert_eq!((cursor.pass(), cursor.next(), cursor.next()), ("1", false, false));
        assert_eq!(cursor.since(before), "{\"a\": [1]}");
        assert_eq!(
            (cursor.next(), cursor.pass(), cursor.next(), cursor.next()),
            (true, "2", false, false)
        );
    }

    #[test]
    fn nesting_is_measured_outside_strings() {
        assert!(nests_deeper_than(&b"[".repeat(200), 128));
        assert!(!nests_deeper_than(b"[[]]", 2));
        assert!(nests_deeper_than(b"[[]]", 1));
        assert!(!nests_deeper_than(br#"["[[[\"[[["]"#, 1));
        assert!(nests_deeper_than(br#"["\\",[["#, 2));
        assert!(!nests_deeper_than(br#"["[[\"#, 1));
    }

    #[test]
    fn strings_end_at_their_closing_quote_however_long_they_are() {
        for length in 0..3 * SHORT {
            for (end, ends) in [
                ("\"", true),
                ("\\\\\"", true),
                ("\\\"", false),
                ("\\", false),
                ("", false),
            ] {
                let string = ["a".repeat(length).as_str(), end].concat();
                let rest = if ends { "]\"" } else { "" };
                assert_eq!(
                    string_length([string.as_str(), rest].concat().as_bytes()),
                    string.len(),
                    "{string}"
                );
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "(?s).{0,24}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("(?s).{0,3}", inner), 0..4).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_cursor_finds_what_a_parser_does(json in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
            let text = text.unwrap();
            let parsed = |json: &str| serde_json::from_str::<Value>(json).unwrap();
            if let Value::Array(array) = &json {
                prop_assert_eq!(&elements(&text).into_iter().map(parsed).collect::<Vec<_>>(), array);
            }
            if let Value::Object(object) = &json {
                let found = members(&text).into_iter();
                let found = found.map(|(name, value)| (name.into_owned(), parsed(value)));
                prop_assert_eq!(&found.collect::<serde_json::Map<_, _>>(), object);
            }
        }

        #[test]
        fn whatever_comes_is_passed_to_an_end(text in "(?s)[\\[\\]{}\",:\\\\a \u{e9}]{0,40}") {
            let mut cursor = JsonCursor::new(&text);
            while cursor.at < text.len() {
                let before = cursor.at;
                if cursor.next() && !cursor.enter(b'{') {
                    cursor.pass();
                }
                prop_assert!(before < cursor.at || cursor.at == text.len());
            }
            nests_deeper_than(text.as_bytes(), 3);
        }
    }
}
