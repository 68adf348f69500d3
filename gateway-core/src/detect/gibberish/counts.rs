//! What is counted of a stretch of text, and how much of it no clean text has.
//!
//! The thresholds are for a window of 1 KB. They were chosen on the tuning share of the corpus, above what any
//! clean block there has, where there is room at about twice that: docs/detectors/gibberish.md has both figures.

use std::ops::Add;

use super::letters::Surprise;
use super::scripts::Scripts;

/// Characters that could not be read. Clean: 22, text for typewriters that strike a letter twice.
const MOST_BROKEN: u32 = 40;
/// Pairs of characters that are one in UTF-8. Clean: 14, Inari Saami.
const MOST_MISREAD: u32 = 28;
/// Signs that touch letters which are not ASCII. Clean: 48, proofs in Lean.
const MOST_SIGNS: u32 = 90;
/// Letters that touch one of another script, and of a hundred words, how many are of another script than the one before:
/// both, in at least four scripts. Clean: 1; of the first alone 99, a language that mixes two alphabets.
const MOST_MIXED: u32 = 10;
const MOST_CHANGES: u32 = 20;
const LEAST_SCRIPTS: u32 = 4;
const LEAST_WORDS: u32 = 20;
/// Rare ones among a hundred Chinese characters. Clean: 31, Vietnamese in Chinese characters.
const MOST_RARE_HAN: u32 = 50;
const LEAST_HAN: u32 = 60;
/// Capitals after a small letter among a hundred Cyrillic letters. Clean: 5, Kabardian.
const MOST_MISREAD_CYRILLIC: u32 = 12;
const LEAST_CYRILLIC: u32 = 60;
/// Hundredths of a bit that a letter surprises by, at three looks in a row. Clean: 515, ROT13; 504, Zhuang.
const MOST_SURPRISE: u32 = 530;
const LEAST_LETTERS: u32 = 300;
/// Words of three letters are abbreviations in knitting, and escapes in programs: words have to be longer on average, in
/// hundredths of a letter.
const LEAST_LENGTH: u32 = 520;

/// What a stretch of text has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub bytes: u32,
    pub surprise: Surprise,
    pub broken: u32,
    pub misread: u32,
    pub signs: u32,
    pub mixed: u32,
    pub words: u32,
    pub changes: u32,
    pub scripts: Scripts,
    pub han: u32,
    pub rare_han: u32,
    pub cyrillic: u32,
    pub misread_cyrillic: u32,
}

impl Counts {
    /// How many bytes it takes until there are so many.
    pub fn until(&self, bytes: u32) -> usize {
        bytes.saturating_sub(self.bytes) as usize
    }

    /// By how much it is beyond what clean texts have, and in what. `is_strange`: whether letters have surprised for long.
    pub fn verdict(&self, is_strange: bool) -> Option<(f32, String)> {
        let surprise = if is_strange { self.surprise() } else { 0 };
        let surprise = (
            surprise,
            MOST_SURPRISE,
            "hundredths of a bit is what a letter surprises by",
        );
        let measures = self.measures().into_iter().chain([surprise]);
        let (measured, most, what) = measures.into_iter().find(|(measured, most, _)| measured >= most)?;
        let reason = format!("{measured} {what}, {most} are too many");
        Some((measured as f32 / most as f32, reason))
    }

    /// Whether its letters surprise more than those of any language.
    pub fn is_strange(&self) -> bool {
        self.surprise() >= MOST_SURPRISE
    }

    /// In hundredths of a bit; 0 where too few words are whole, or most are too short.
    fn surprise(&self) -> u32 {
        let Surprise { bits, letters, words } = self.surprise;
        if letters * 100 < words * LEAST_LENGTH {
            0
        } else {
            share(bits, letters, LEAST_LETTERS)
        }
    }

    fn measures(&self) -> [(u32, u32, &'static str); 6] {
        let is_mixture = self.scripts.count() >= LEAST_SCRIPTS && self.changes * 100 >= self.words * MOST_CHANGES;
        let mixed = if is_mixture && self.words >= LEAST_WORDS {
            self.mixed
        } else {
            0
        };
        let rare = share(self.rare_han, self.han, LEAST_HAN);
        let cyrillic = share(self.misread_cyrillic, self.cyrillic, LEAST_CYRILLIC);
        [
            (self.broken, MOST_BROKEN, "characters of 1 KB cannot be read"),
            (self.misread, MOST_MISREAD, "pairs of 1 KB are one character in UTF-8"),
            (self.signs, MOST_SIGNS, "signs of 1 KB stand inside of words"),
            (mixed, MOST_MIXED, "letters of 1 KB touch one of another script"),
            (rare, MOST_RARE_HAN, "of 100 Chinese characters are rare"),
            (
                cyrillic,
                MOST_MISREAD_CYRILLIC,
                "of 100 Cyrillic letters are capitals after small ones",
            ),
        ]
    }
}

/// How much of it, in percent; nothing where there is too little of it all.
fn share(part: u32, all: u32, least: u32) -> u32 {
    if all < least { 0 } else { part * 100 / all }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            surprise: self.surprise + other.surprise,
            broken: self.broken + other.broken,
            misread: self.misread + other.misread,
            signs: self.signs + other.signs,
            mixed: self.mixed + other.mixed,
            words: self.words + other.words,
            changes: self.changes + other.changes,
            scripts: self.scripts.and(other.scripts),
            han: self.han + other.han,
            rare_han: self.rare_han + other.rare_han,
            cyrillic: self.cyrillic + other.cyrillic,
            misread_cyrillic: self.misread_cyrillic + other.misread_cyrillic,
        }
    }
}
