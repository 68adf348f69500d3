//! Which script a character is of.

/// A script, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A letter of a script, by its number.
    Letter(u8),
    /// A sign that is no letter, and that stands between letters only by mistake.
    Sign,
    /// A space, a digit, punctuation, a mark on a letter: it may stand anywhere.
    Neutral,
    /// A character that no text has: a control, a replacement for what could not be read.
    Broken,
}

/// Scripts, as a set. Which of them a prompt has tells which of them its answer may mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scripts(u32);

pub const LATIN: u8 = 0;
pub const GREEK: u8 = 1;
pub const CYRILLIC: u8 = 2;
pub const HAN: u8 = 3;
pub const KANA: u8 = 4;
pub const HANGUL: u8 = 5;
const ARABIC: u8 = 6;
const HEBREW: u8 = 7;
const ARMENIAN: u8 = 8;
const GEORGIAN: u8 = 9;
const ETHIOPIC: u8 = 10;
const OTHER: u8 = 11;
/// The first of the scripts of India and of those to its east.
const INDIC: u8 = 12;

impl Scripts {
    /// Those of a text.
    pub fn of(text: &str) -> Self {
        let mut scripts = Self::default();
        for character in text.chars() {
            if let Sort::Letter(script) = sort(character) {
                scripts.add(script);
            }
        }
        scripts
    }

    pub(super) fn add(&mut self, script: u8) {
        self.0 |= 1 << script;
    }

    /// How many there are.
    pub(super) fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Those of both.
    pub(super) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub(super) fn has(self, script: u8) -> bool {
        self.0 & 1 << script != 0
    }
}

/// What a character is.
#[inline]
pub fn sort(character: char) -> Sort {
    // Most of what is not ASCII is in one of these.
    match u32::from(character) {
        0x4E00..=0x9FFF => Sort::Letter(HAN),
        0x400..=0x52F => Sort::Letter(CYRILLIC),
        0xAC00..=0xD7A3 => Sort::Letter(HANGUL),
        point => sort_of_others(point),
    }
}

fn sort_of_others(point: u32) -> Sort {
    match point {
        0x41..=0x5A | 0x61..=0x7A => Sort::Letter(LATIN),
        0x09 | 0x0A | 0x0D | 0x1B | 0x20..=0x7E => Sort::Neutral,
        0..=0x1F | 0x7F..=0x9F | 0xE000..=0xF8FF | 0xFFF0..=0xFFFB | 0xFFFD.. if point < 0x1_0000 => Sort::Broken,
        0xAA | 0xBA | 0xC0..=0xD6 | 0xD8..=0xF6 | 0xF8..=0x24F | 0x250..=0x2AF | 0x1E00..=0x1EFF | 0xFB00..=0xFB06 => {
            Sort::Letter(LATIN)
        }
        0xA0 | 0xA7 | 0xAB | 0xAD | 0xB0 | 0xB7 | 0xBB | 0xD7 | 0x2B0..=0x36F => Sort::Neutral,
        0xA1..=0xBF | 0xF7 => Sort::Sign,
        0x370..=0x3FF | 0x1F00..=0x1FFF => Sort::Letter(GREEK),
        0x1C80..=0x1C8F | 0x2DE0..=0x2DFF | 0xA640..=0xA69F => Sort::Letter(CYRILLIC),
        0x531..=0x587 => Sort::Letter(ARMENIAN),
        0x5D0..=0x5EA => Sort::Letter(HEBREW),
        0x588..=0x605 | 0x60C..=0x61F | 0x64B..=0x66D | 0x6D4..=0x6ED | 0x6F0..=0x6F9 => Sort::Neutral,
        0x606..=0x6FF | 0x750..=0x77F | 0x8A0..=0x8FF | 0xFB50..=0xFDFF | 0xFE70..=0xFEFE => Sort::Letter(ARABIC),
        0x964 | 0x965 => Sort::Neutral,
        0x900..=0x109F | 0xA9E0..=0xA9FF | 0xAA60..=0xAA7F => Sort::Letter(INDIC + indic(point)),
        0x10A0..=0x10FF | 0x1C90..=0x1CBF => Sort::Letter(GEORGIAN),
        0x1100..=0x11FF | 0x3130..=0x318F => Sort::Letter(HANGUL),
        0x1200..=0x139F | 0x2D80..=0x2DDF => Sort::Letter(ETHIOPIC),
        0x2000..=0x206F | 0x20D0..=0x20FF | 0x2190..=0x21FF | 0x3000..=0x303F | 0xFE00..=0xFE4F | 0xFEFF => {
            Sort::Neutral
        }
        0x2070..=0x2FFF => Sort::Sign,
        0x3040..=0x30FF | 0x31F0..=0x31FF | 0xFF66..=0xFF9F => Sort::Letter(KANA),
        0x3400..=0x4DBF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF => Sort::Letter(HAN),
        0x3200..=0x33FF | 0xFF00..=0xFFEF | 0x1_D400..=0x1_D7FF | 0x1_F000..=0x1_FAFF | 0xE_0000..=0xE_01EF => {
            Sort::Neutral
        }
        _ => Sort::Letter(OTHER),
    }
}

/// Which of the scripts that have 128 characters each, the last two more than that.
fn indic(point: u32) -> u8 {
    match point {
        0xF00..=0xFFF => TIBETAN,
        0x1000.. => BURMESE,
        _ => ((point - 0x900) / 0x80) as u8,
    }
}

const TIBETAN: u8 = 12;
const BURMESE: u8 = 13;
