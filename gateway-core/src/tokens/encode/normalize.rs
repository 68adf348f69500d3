//! Unicode's normalization form C, with little to do for text that is in it already, as nearly all is.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, is_nfc_quick};

use super::compose::composed;

/// `text` in normalization form C.
pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    if is_plain(text) || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(composed(text))
    }
}

/// Whether `text` has none but characters that normalization leaves as they are, wherever they stand.
fn is_plain(text: &str) -> bool {
    let mut at = 0;
    while let Some(suspect) = text.as_bytes().get(at..).and_then(suspect) {
        at += suspect;
        match text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(character) if is_plain_character(character) => at += character.len_utf8(),
            Some(_) | None => return false,
        }
    }
    true
}

/// Where the first byte stands that may begin another character.
fn suspect(bytes: &[u8]) -> Option<usize> {
    // Compilers do many bytes at once where none of them can be the last.
    let chunks = bytes.chunks(64);
    let plain = chunks.take_while(|chunk| chunk.iter().fold(true, |plain, byte| plain & begins_plain(*byte)));
    let plain: usize = plain.map(<[u8]>::len).sum();
    let found = bytes.get(plain..)?.iter().position(|byte| !begins_plain(*byte))?;
    Some(plain + found)
}

/// Whether a byte begins none but plain characters, or none at all. Everything below U+0300 is plain, and so are Cyrillic
/// letters up to U+047F, ideographs from U+4000 to U+9FFF, and syllables of Hangul from U+B000 to U+CFFF.
fn begins_plain(byte: u8) -> bool {
    matches!(byte, 0..=0xcb | 0xd0 | 0xd1 | 0xe4..=0xe9 | 0xeb | 0xec)
}

/// More of them: blocks of which every character is.
fn is_plain_character(character: char) -> bool {
    matches!(character,
        '\u{48a}'..='\u{58f}' // Cyrillic, Armenian
        | '\u{620}'..='\u{64a}' // Arabic letters
        | '\u{2002}'..='\u{20cf}' // punctuation, currencies
        | '\u{2190}'..='\u{2328}' // arrows, mathematics
        | '\u{232b}'..='\u{2adb}' // technical signs, lines, shapes, dingbats
        | '\u{3001}'..='\u{3029}' | '\u{3030}'..='\u{3098}' | '\u{309b}'..='\u{3fff}' // punctuation, kana, ideographs
        | '\u{ac00}'..='\u{d7a3}' // Hangul
        | '\u{20e2}'..='\u{20e4}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0020}'..='\u{e007f}' // what shapes emoji
        | '\u{ff00}'..='\u{ffef}' // wide and narrow forms
        | '\u{1f000}'..='\u{1faff}') // emoji
}

#[cfg(test)]
mod tests {
    use unicode_normalization::char::canonical_combining_class;

    use super::*;

    /// A character that is neither changed nor moved nor joined to one before it. What is joined to one before it is
    /// "maybe" normal by itself.
    fn stays(character: char) -> bool {
        let is_normal = is_nfc_quick(std::iter::once(character)) == IsNormalized::Yes;
        is_normal && canonical_combining_class(character) == 0
    }

    #[test]
    fn plain_characters_stay_wherever_they_stand() {
        let mut plain = 0;
        for character in '\0'..=char::MAX {
            if is_plain(&character.to_string()) {
                assert!(stays(character), "{:x}", u32::from(character));
                plain += 1;
            }
        }
        assert!(plain > 40_000, "{plain}");
    }

    #[test]
    fn text_is_normalized_whatever_is_in_it() {
        for (text, expected) in [
            (
                "plain, žluťoučký, текст, 漢字、かな 🙂",
                "plain, žluťoučký, текст, 漢字、かな 🙂",
            ),
            ("e\u{301}", "é"),
            ("か\u{3099} \u{212b}", "が Å"),
            ("a\u{323}\u{307}", "ạ\u{307}"),
            ("\u{1100}\u{1161}\u{11a8}", "각"),
        ] {
            assert_eq!(nfc(text), expected);
        }
    }
}
