//! Answers in no language that anybody writes.
//!
//! Over a window of the last 1 KB it counts what texts of any kind have little of, and failed ones much: characters that
//! could not be read, letters of one encoding in the place of another's, letters of several scripts in one word, words
//! that change their script from one to the next, rare Chinese characters, letters that do not follow each other in words
//! of any language (`counts.rs`). Programs, data and digests say nothing: only whole words count, and scripts that the
//! prompt has may be mixed. It decides nothing of what becomes of the answer.

mod counts;
mod letters;
mod scripts;

use super::{Detector, Finding};
use counts::Counts;
use letters::{Word, is_common};
use scripts::{CYRILLIC, GREEK, HAN, HANGUL, KANA, LATIN, Sort, sort};

pub use scripts::Scripts;

/// How many bytes pass from one look to the next.
const STEP: u32 = 256;
/// Letters have to surprise at so many looks in a row: a list of abbreviations is as strange, and shorter.
const STRANGE_LOOKS: u32 = 3;
/// How many steps the window has.
const STEPS: usize = 4;

/// Finds one text that is no language. It takes some 400 bytes.
#[derive(Clone, Debug, Default)]
pub struct Gibberish {
    /// Scripts that the prompt has, and that the answer may mix.
    prompt: Scripts,
    reader: Reader,
    /// The steps before this one, the oldest at `next`.
    window: [Counts; STEPS - 1],
    next: usize,
    /// At how many looks in a row letters have surprised.
    strange: u32,
    bytes: u64,
    is_done: bool,
}

/// Where the text has got to.
#[derive(Clone, Copy, Debug, Default)]
struct Reader {
    counts: Counts,
    word: Word,
    last: Last,
    /// The script of the last word's last letter.
    word_script: Option<u8>,
}

/// The last character.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    point: u32,
    sort: Option<Sort>,
}

impl Gibberish {
    /// For an answer to a prompt with these scripts.
    pub fn new(prompt: Scripts) -> Self {
        Self {
            prompt,
            ..Self::default()
        }
    }

    /// Reads on. Says once that this is no language, in the piece in which that is certain.
    pub fn push(&mut self, text: &str) -> Option<Finding> {
        let mut rest = text;
        while !self.is_done && !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.ceil_char_boundary(self.reader.counts.until(STEP)));
            self.reader.read(piece, self.prompt);
            self.bytes += piece.len() as u64;
            rest = after;
            if self.reader.counts.until(STEP) == 0 {
                let found = self.step();
                self.is_done = found.is_some();
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// Looks at the window, and begins the next step.
    fn step(&mut self) -> Option<Finding> {
        let here = std::mem::take(&mut self.reader.counts);
        let all = self.window.iter().fold(here, |all, step| all + *step);
        self.window[self.next] = here;
        self.next = (self.next + 1) % self.window.len();
        self.strange = if all.is_strange() { self.strange + 1 } else { 0 };
        let (score, reason) = all.verdict(self.strange >= STRANGE_LOOKS)?;
        Some(Finding {
            detector: Detector::Gibberish,
            score,
            at_bytes: self.bytes,
            reason,
        })
    }
}

impl Reader {
    fn read(&mut self, text: &str, prompt: Scripts) {
        self.counts.bytes += text.len() as u32;
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += if byte.is_ascii_alphabetic() {
                self.letters(&bytes[at..], prompt)
            } else if byte.is_ascii() {
                self.ascii(byte);
                1
            } else {
                let character = text[at..].chars().next().unwrap_or_default();
                self.other(character, prompt);
                character.len_utf8()
            };
        }
    }

    /// Reads the letters of ASCII that a text begins with, and tells how many.
    #[inline]
    fn letters(&mut self, bytes: &[u8], prompt: Scripts) -> usize {
        if self.last.sort != Some(Sort::Letter(LATIN)) {
            self.letter_after(LATIN, prompt.has(LATIN));
        }
        let length = bytes.iter().position(|byte| !byte.is_ascii_alphabetic());
        let length = length.unwrap_or(bytes.len());
        let mut word = self.word;
        for &byte in &bytes[..length] {
            word.letter(byte);
        }
        self.word = word;
        self.word_script = Some(LATIN);
        self.last = Last::of(bytes[length - 1].into(), Sort::Letter(LATIN));
        length
    }

    /// Reads what else there is in ASCII.
    #[inline]
    fn ascii(&mut self, byte: u8) {
        match byte {
            b'\t' | b'\n' | b'\r' | b' ' | b'.' | b',' | b';' | b':' | b'!' | b'?' | b'(' | b')' | b'-' | b'#'
            | b'*' => {
                self.word.end(&mut self.counts.surprise);
            }
            // What touches a quote or a sign of a program is a name or a value: lists of opcodes are as strange as noise.
            0x1B | b'!'..=b'~' => self.word.spoil(),
            _ => self.counts.broken += 1,
        }
        self.last = Last::of(byte.into(), Sort::Neutral);
    }

    fn other(&mut self, character: char, prompt: Scripts) {
        let (point, sort) = (u32::from(character), sort(character));
        match sort {
            Sort::Letter(script) => self.letter(character, script, prompt),
            Sort::Sign => {
                self.word.spoil();
                self.counts.signs += u32::from(matches!(self.last.sort, Some(Sort::Letter(_))));
            }
            Sort::Neutral => self.word.end(&mut self.counts.surprise),
            Sort::Broken => {
                self.word.spoil();
                self.counts.broken += 1;
            }
        }
        self.counts.misread += u32::from(is_first_of_two(self.last.point) && is_second_of_two(point));
        self.last = Last::of(point, sort);
    }

    fn letter(&mut self, character: char, script: u8, prompt: Scripts) {
        self.letter_after(script, prompt.has(script));
        if script == LATIN {
            self.word.other_letter();
        } else {
            self.word.spoil();
        }
        if script == HAN {
            self.counts.han += 1;
            self.counts.rare_han += u32::from(!is_common(character));
        }
        if script == CYRILLIC {
            self.counts.cyrillic += 1;
            // The first bytes of letters in UTF-8 are capitals in Windows' code page 1251, most of the others are not.
            let is_inside = matches!(self.last.sort, Some(Sort::Letter(CYRILLIC))) && !is_capital(self.last.point);
            self.counts.misread_cyrillic += u32::from(is_inside && is_capital(character.into()));
        }
        self.counts.signs += u32::from(self.last.sort == Some(Sort::Sign));
        self.word_script = Some(script);
    }

    /// Compares a letter's script with that of the letter, or the word, before it.
    fn letter_after(&mut self, script: u8, is_expected: bool) {
        let is_new_word = match self.last.sort {
            Some(Sort::Letter(before)) => before != script && !may_touch(before, script),
            Some(Sort::Neutral | Sort::Sign | Sort::Broken) | None => true,
        };
        if is_new_word {
            let has_changed = !is_expected && self.word_script.is_some_and(|before| before != script);
            let touches = matches!(self.last.sort, Some(Sort::Letter(_)));
            self.counts.words += 1;
            self.counts.changes += u32::from(has_changed);
            self.counts.mixed += u32::from(has_changed && touches);
        }
        self.counts.scripts.add(script);
    }
}

impl Last {
    fn of(point: u32, sort: Sort) -> Self {
        Self {
            point,
            sort: Some(sort),
        }
    }
}

/// Whether a Cyrillic letter is a capital, of the basic ones and those of Slavic languages.
fn is_capital(cyrillic: u32) -> bool {
    (0x400..0x430).contains(&cyrillic)
}

/// Whether letters of two scripts stand side by side in clean texts: those of East Asia with each other and with Latin
/// ones, and the Greek letters of formulas.
fn may_touch(one: u8, other: u8) -> bool {
    let is_eastern = |script| matches!(script, HAN | KANA | HANGUL | LATIN);
    let is_formula = [one, other].contains(&GREEK) && [one, other].contains(&LATIN);
    is_formula || is_eastern(one) && is_eastern(other)
}

/// Whether a character is what the first byte of a character of several in UTF-8 is in Latin-1.
fn is_first_of_two(point: u32) -> bool {
    (0xC2..=0xF4).contains(&point)
}

/// Whether it is what one of its other bytes is, in Latin-1 or in Windows' code page 1252.
fn is_second_of_two(point: u32) -> bool {
    matches!(point, 0x80..=0xBF) || char::from_u32(point).is_some_and(|character| WINDOWS_1252.contains(character))
}

/// What Windows' code page 1252 has from 0x80 to 0x9F, where Latin-1 has controls (unicode.org's table CP1252.TXT).
const WINDOWS_1252: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";

#[cfg(test)]
mod tests;
