//! How surprising a word's letters are, in any language that is written with Latin letters.

use std::ops::Add;

/// Costs in bits, four bits each; `tests/detectors/corpus/model.py` makes them, and says how.
static COSTS: &[u8; 28 * 28 * 28 / 2] = include_bytes!("letters.bin");
/// A bit per character from U+4E00 on, whether it is one of the 4,000 most common in Chinese and Japanese texts.
static COMMON: &[u8; 0x5200 / 8] = include_bytes!("han.bin");

/// Words shorter or longer say nothing: names of variables, and what is no word.
const LENGTHS: std::ops::RangeInclusive<u32> = 3..=19;
const BORDER: u32 = 0;
const OTHER: u32 = 27;
const SYMBOLS: u32 = 28;

/// What a run of words has cost so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surprise {
    /// In bits.
    pub bits: u32,
    /// Letters, and the borders of their words.
    pub letters: u32,
    pub words: u32,
}

impl Add for Surprise {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bits: self.bits + other.bits,
            letters: self.letters + other.letters,
            words: self.words + other.words,
        }
    }
}

/// The word that has not come to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Word {
    length: u32,
    bits: u32,
    /// The last two symbols.
    before: [u32; 2],
    /// It has digits, capitals inside or signs of programs: a name, a key, base64.
    is_none: bool,
}

impl Word {
    /// Adds a letter of ASCII.
    #[inline]
    pub fn letter(&mut self, letter: u8) {
        self.is_none |= letter.is_ascii_uppercase() & (self.length > 0);
        self.symbol(u32::from(letter & 0x1F));
    }

    /// Adds any other Latin letter.
    pub fn other_letter(&mut self) {
        self.symbol(OTHER);
    }

    /// Whatever makes it no word.
    #[inline]
    pub fn spoil(&mut self) {
        self.is_none = true;
    }

    #[inline]
    fn symbol(&mut self, symbol: u32) {
        // What never ends is no word before it has too many bits.
        self.bits = self.bits.wrapping_add(cost(self.before, symbol));
        self.length = self.length.wrapping_add(1);
        self.before = [self.before[1], symbol];
    }

    /// Ends it: what it has cost, if it was a word.
    #[inline]
    pub fn end(&mut self, surprise: &mut Surprise) {
        if LENGTHS.contains(&self.length) && !self.is_none {
            surprise.bits += self.bits + cost(self.before, BORDER);
            surprise.letters += self.length + 1;
            surprise.words += 1;
        }
        *self = Self::default();
    }
}

/// Of a symbol after two others, in bits.
#[inline]
fn cost([first, second]: [u32; 2], third: u32) -> u32 {
    let place = (first * SYMBOLS + second) * SYMBOLS + third;
    let pair = COSTS.get(place as usize / 2).copied().unwrap_or_default();
    u32::from(pair >> (place % 2 * 4) & 15)
}

/// Whether it is a common one.
pub fn is_common(han: char) -> bool {
    let place = (u32::from(han) as usize).wrapping_sub(0x4E00);
    COMMON.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 != 0)
}
