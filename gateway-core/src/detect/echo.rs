//! Answers that say the prompt again. Many may begin with a part of what they were asked about, and a proofreader that finds
//! nothing gives all of it back: what is never asked for is the instructions. So an answer is compared with the message that
//! has them, from its first letter on, and only one that goes on with nearly all of a long one is found.

use bytes::Bytes;

use super::{Detector, Finding};

/// How far an answer has said the same as a text.
#[derive(Clone, Debug)]
pub(super) struct Echo {
    /// The text as it stands in the request, a JSON string without its quotes; empty where there is nothing to compare any more.
    json: Bytes,
    at: usize,
    characters: u64,
    /// How many characters are an echo, once that is looked at.
    most: Option<u64>,
    bytes: u64,
}

impl Echo {
    /// Of that text, a JSON string as it stands in a request.
    pub fn new(json: Option<Bytes>) -> Self {
        let json = json.filter(|json| json.len() >= 2 && json.starts_with(b"\"") && json.ends_with(b"\""));
        let mut echo = Self {
            json: json.map(|json| json.slice(1..json.len() - 1)).unwrap_or_default(),
            at: 0,
            characters: 0,
            most: None,
            bytes: 0,
        };
        echo.pass_blanks();
        echo
    }

    /// The answer goes on with that.
    pub fn push(&mut self, text: &str) -> Option<Finding> {
        if self.json.is_empty() {
            return None;
        }
        self.bytes += text.len() as u64;
        for character in text.chars() {
            let is_before = self.characters == 0 && character.is_whitespace();
            if is_before {
                continue;
            }
            let Some((expected, next)) = next_character(&self.json, self.at) else {
                return self.end();
            };
            if expected != character {
                return self.end();
            }
            (self.at, self.characters) = (next, self.characters + 1);
            if self.characters >= self.most() {
                return self.found();
            }
        }
        None
    }

    /// Nothing is compared from here on.
    fn end(&mut self) -> Option<Finding> {
        self.json = Bytes::new();
        None
    }

    fn found(&mut self) -> Option<Finding> {
        let (characters, bytes) = (self.characters, self.bytes);
        self.end();
        Some(Finding {
            detector: Detector::Echo,
            score: 1.0,
            at_bytes: bytes,
            reason: format!("the answer begins with {characters} characters of its instructions"),
        })
    }

    /// How many characters are an echo. The text is read once, when it is worth it.
    fn most(&mut self) -> u64 {
        if self.characters < LEAST_CHARACTERS {
            return LEAST_CHARACTERS;
        }
        *self.most.get_or_insert_with(|| {
            let (mut at, mut left) = (self.at, 0);
            while let Some((_, next)) = next_character(&self.json, at) {
                (at, left) = (next, left + 1);
            }
            ((self.characters + left) * SHARE_PERCENT).div_ceil(100)
        })
    }

    fn pass_blanks(&mut self) {
        while let Some((character, next)) = next_character(&self.json, self.at)
            && character.is_whitespace()
        {
            self.at = next;
        }
    }
}

/// The character at that place of the inside of a JSON string, and where the next one stands; `None` at the end, and of what
/// makes no text.
pub(super) fn next_character(json: &[u8], at: usize) -> Option<(char, usize)> {
    let rest = json.get(at..)?;
    let first = *rest.first()?;
    if first == b'\\' {
        return escaped(rest).map(|(character, length)| (character, at + length));
    }
    let length = match first {
        ..0x80 => return Some((char::from(first), at + 1)),
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
    };
    let character = std::str::from_utf8(rest.get(..length)?).ok()?.chars().next()?;
    Some((character, at + length))
}

/// The character of an escape, and how long that is.
fn escaped(json: &[u8]) -> Option<(char, usize)> {
    let character = match json.get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return escaped_unit(json),
        other => char::from(*other),
    };
    Some((character, 2))
}

/// The character of one `\uXXXX`, or of a pair of them.
fn escaped_unit(json: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let high = unit(0)?;
    match char::decode_utf16([high]).next()? {
        Ok(character) => Some((character, 6)),
        Err(_) => Some((char::decode_utf16([high, unit(6)?]).next()?.ok()?, 12)),
    }
}

/// Shorter instructions are repeated by chance, or to answer them.
const LEAST_CHARACTERS: u64 = 400;
/// How much of the instructions an echo has at least, in percent.
const SHARE_PERCENT: u64 = 90;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn echo(of: &str) -> Echo {
        Echo::new(Some(serde_json::to_vec(of).unwrap().into()))
    }

    /// Instructions of so many characters.
    fn instructions(characters: usize) -> String {
        let text: String = (0..characters)
            .map(|count| format!("{count}. \"Säge\"\n世\u{1f30a} "))
            .collect();
        text.chars().take(characters).collect()
    }

    #[test]
    fn instructions_that_are_said_again_are_found_when_nearly_all_are_there() {
        let text = instructions(1_000);
        let mut echo = echo(&format!(" {text}"));
        let pushed = text.chars().position(|character| {
            let mut piece = [0; 4];
            echo.push(character.encode_utf8(&mut piece)).is_some()
        });
        assert_eq!(pushed, Some(899));
        assert_eq!(echo.push(&text), None, "it is told once");
    }

    #[test]
    fn short_ones_parts_of_them_and_what_is_quoted_further_behind_are_no_echo() {
        let text = instructions(1_000);
        assert_eq!(echo(&instructions(399)).push(&instructions(399)), None);
        let half: String = text.chars().take(800).collect();
        assert_eq!(echo(&text).push(&half), None);
        assert_eq!(echo(&text).push(&format!("You said: {text}")), None);
        let other = text.replacen("5.", "6.", 1);
        assert_eq!(echo(&text).push(&other), None);
        assert_eq!(Echo::new(None).push(&text), None);
        assert_eq!(Echo::new(Some(Bytes::from_static(b"[7]"))).push(&text), None);
    }

    proptest! {
        #[test]
        fn it_reads_a_text_as_a_parser_does_however_it_is_written(text in "(?s).{0,40}", is_ascii in any::<bool>()) {
            let mut json = serde_json::to_string(&text).unwrap();
            if is_ascii {
                json = json.chars().map(in_ascii).collect();
            }
            let inside = &json.as_bytes()[1..json.len() - 1];
            let mut at = 0;
            let mut read = String::new();
            while let Some((character, next)) = next_character(inside, at) {
                read.push(character);
                at = next;
            }
            prop_assert_eq!(read, text);
        }

        #[test]
        fn what_makes_no_text_ends_it_and_never_panics(json in "[\\\\\"u0-9a-fdD\u{e9}]{0,24}") {
            let mut at = 0;
            while let Some((_, next)) = next_character(json.as_bytes(), at) {
                prop_assert!(next > at);
                at = next;
            }
        }
    }

    fn in_ascii(character: char) -> String {
        if character.is_ascii() {
            return character.to_string();
        }
        let mut units = [0; 2];
        let units = character.encode_utf16(&mut units).iter();
        units.map(|unit| format!("\\u{unit:04x}")).collect()
    }
}
