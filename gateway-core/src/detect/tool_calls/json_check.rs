//! Whether a text that comes in pieces is one JSON value, in constant memory (RFC 8259). It keeps nothing of the text but what
//! it is inside of.

/// What has come so far, and what may follow.
#[derive(Clone, Debug)]
pub(super) struct JsonCheck {
    expects: Expects,
    /// Of each array or object that is open, whether it is an object; the innermost one in the lowest bit.
    is_object: u128,
    depth: u32,
    /// The first byte that is no white space.
    first: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Value,
    /// A value, or the end of the array that has just begun.
    ValueOrEnd,
    Key,
    /// A key, or the end of the object that has just begun.
    KeyOrEnd,
    Colon,
    /// A comma, or the end of what is open.
    CommaOrEnd,
    /// The rest of a string, which is a key or a value.
    Text(TextPart, IsKey),
    /// The rest of `true`, `false` or `null`, which begins with that letter and of which so many have come.
    Word(u8, u8),
    Number(NumberPart),
    /// Nothing: the value is whole.
    Nothing,
    /// Anything: it nests deeper than it is followed.
    Anything,
    /// It is no JSON.
    Never,
}

type IsKey = bool;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextPart {
    Plain,
    Escape,
    /// So many hexadecimal digits more.
    Hex(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberPart {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Default for JsonCheck {
    fn default() -> Self {
        Self {
            expects: Expects::Value,
            is_object: 0,
            depth: 0,
            first: None,
        }
    }
}

impl JsonCheck {
    /// More of the text is here. Gives whether it may become JSON still.
    pub fn push(&mut self, text: &str) -> bool {
        let mut rest = text.as_bytes();
        while let Some((byte, behind)) = rest.split_first() {
            // Most of most arguments is this.
            let is_plain_text = matches!(self.expects, Expects::Text(TextPart::Plain, _)) && is_plain(*byte);
            if is_plain_text {
                let plain = behind.iter().position(|byte| !is_plain(*byte));
                rest = &behind[plain.unwrap_or(behind.len())..];
            } else {
                self.on_byte(*byte);
                rest = behind;
            }
        }
        self.expects != Expects::Never
    }

    /// Whether all that has come is one value.
    pub fn is_whole(&self) -> bool {
        match self.expects {
            Expects::Nothing => true,
            Expects::Number(part) => self.depth == 0 && part.may_end(),
            Expects::Value
            | Expects::ValueOrEnd
            | Expects::Key
            | Expects::KeyOrEnd
            | Expects::Colon
            | Expects::CommaOrEnd
            | Expects::Text(..)
            | Expects::Word(..)
            | Expects::Anything
            | Expects::Never => false,
        }
    }

    /// Whether it nests deeper than it is followed: whether it is JSON, nobody knows.
    pub fn is_too_deep(&self) -> bool {
        self.expects == Expects::Anything
    }

    /// Whether nothing but white space has come.
    pub fn is_blank(&self) -> bool {
        self.first.is_none()
    }

    /// Whether it begins as an object does.
    pub fn is_object(&self) -> bool {
        self.first == Some(b'{')
    }

    fn on_byte(&mut self, byte: u8) {
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        if !is_space {
            self.first.get_or_insert(byte);
        }
        self.expects = match self.expects {
            Expects::Text(part, is_key) => self.in_text(part, is_key, byte),
            Expects::Word(first, came) => self.in_word(first, came, byte),
            Expects::Number(part) => match part.next(byte) {
                Some(part) => Expects::Number(part),
                None if part.may_end() => {
                    self.expects = self.behind_value();
                    return self.on_byte(byte);
                }
                None => Expects::Never,
            },
            unchanged if is_space => unchanged,
            Expects::Anything => Expects::Anything,
            Expects::Value => self.begin(byte),
            Expects::ValueOrEnd if byte == b']' => self.close(),
            Expects::ValueOrEnd => self.begin(byte),
            Expects::KeyOrEnd if byte == b'}' => self.close(),
            Expects::Key | Expects::KeyOrEnd if byte == b'"' => Expects::Text(TextPart::Plain, true),
            Expects::Colon if byte == b':' => Expects::Value,
            Expects::CommaOrEnd => self.after_value(byte),
            Expects::Key | Expects::KeyOrEnd | Expects::Colon | Expects::Nothing | Expects::Never => Expects::Never,
        };
    }

    fn begin(&mut self, byte: u8) -> Expects {
        match byte {
            b'"' => Expects::Text(TextPart::Plain, false),
            b'{' => self.open(true),
            b'[' => self.open(false),
            b't' | b'f' | b'n' => Expects::Word(byte, 1),
            b'-' => Expects::Number(NumberPart::Minus),
            b'0' => Expects::Number(NumberPart::Zero),
            b'1'..=b'9' => Expects::Number(NumberPart::Whole),
            _ => Expects::Never,
        }
    }

    fn in_word(&self, first: u8, came: u8, byte: u8) -> Expects {
        let word: &[u8] = match first {
            b't' => b"true",
            b'f' => b"false",
            _ => b"null",
        };
        let at = usize::from(came);
        match word.get(at) {
            Some(next) if *next == byte && at + 1 == word.len() => self.behind_value(),
            Some(next) if *next == byte => Expects::Word(first, came + 1),
            Some(_) | None => Expects::Never,
        }
    }

    fn open(&mut self, is_object: bool) -> Expects {
        if self.depth == u128::BITS {
            return Expects::Anything;
        }
        self.depth += 1;
        self.is_object = self.is_object << 1 | u128::from(is_object);
        if is_object {
            Expects::KeyOrEnd
        } else {
            Expects::ValueOrEnd
        }
    }

    fn close(&mut self) -> Expects {
        self.depth -= 1;
        self.is_object >>= 1;
        self.behind_value()
    }

    fn behind_value(&self) -> Expects {
        if self.depth == 0 {
            Expects::Nothing
        } else {
            Expects::CommaOrEnd
        }
    }

    fn after_value(&mut self, byte: u8) -> Expects {
        let is_object = self.is_object & 1 == 1;
        match byte {
            b',' if is_object => Expects::Key,
            b',' => Expects::Value,
            b'}' if is_object => self.close(),
            b']' if !is_object => self.close(),
            _ => Expects::Never,
        }
    }

    fn in_text(&self, part: TextPart, is_key: IsKey, byte: u8) -> Expects {
        let part = match (part, byte) {
            (TextPart::Plain, b'"') if is_key => return Expects::Colon,
            (TextPart::Plain, b'"') => return self.behind_value(),
            (TextPart::Plain, b'\\') => TextPart::Escape,
            (TextPart::Plain, ..0x20) => return Expects::Never,
            (TextPart::Plain, _) => TextPart::Plain,
            (TextPart::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => TextPart::Plain,
            (TextPart::Escape, b'u') => TextPart::Hex(4),
            (TextPart::Hex(1), _) if byte.is_ascii_hexdigit() => TextPart::Plain,
            (TextPart::Hex(left), _) if byte.is_ascii_hexdigit() => TextPart::Hex(left - 1),
            (TextPart::Escape | TextPart::Hex(_), _) => return Expects::Never,
        };
        Expects::Text(part, is_key)
    }
}

/// Whether a byte stands for itself within a string.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

impl NumberPart {
    /// What it is with that byte; `None` where that does not belong to it.
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::ExponentDigits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_json(text: &str) -> bool {
        let mut check = JsonCheck::default();
        check.push(text) && check.is_whole()
    }

    #[test]
    fn what_engines_send_of_calls_that_go_wrong_is_no_json() {
        for (text, expected) in [
            (r#"{"city":"Kyiv","days":3}"#, true),
            (" {} ", true),
            ("-0.5e+3", true),
            ("{}{}", false),
            (r#"{"city":"Kyiv""#, false),
            ("{'city':'Kyiv'}", false),
            (r#"{"city":"Kyiv",}"#, false),
            ("```json\n{}\n```", false),
            (r#"{"a":NaN}"#, false),
            (r#"{"a":01}"#, false),
            ("{\"a\":\"line\nend\"}", false),
            ("", false),
        ] {
            assert_eq!(is_json(text), expected, "{text}");
        }
    }

    #[test]
    fn of_what_nests_deeper_than_it_is_followed_nothing_is_said() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_json(&nested(128)));
        let mut check = JsonCheck::default();
        assert!(check.push(&nested(129)) && check.is_too_deep());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn it_takes_for_json_what_a_parser_does_however_it_is_cut(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\u00e9", "\\", "1", "0", "-", ".5", "e2", "true", "null",
                    " ", "\n", "x",
                ]),
                0..12,
            ),
            is_valid in any::<bool>(),
        ) {
            let text = pieces.concat();
            let text = if is_valid { serde_json::json!({ "a": [pieces, { "b": -1.5e3 }] }).to_string() } else { text };
            let expected = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_json(&text), expected, "{}", text);
            let mut check = JsonCheck::default();
            for character in text.chars() {
                check.push(character.encode_utf8(&mut [0; 4]));
            }
            prop_assert_eq!(check.is_whole(), expected, "{}", text);
        }
    }
}
