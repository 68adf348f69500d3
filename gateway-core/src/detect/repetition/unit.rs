//! What comes around, and how long it has to until that is no task that somebody set.
//!
//! All lengths are in symbols. They were chosen on the tuning share of the corpus: docs/detectors/repetition.md.

use super::symbols::is_number;

/// So often a unit has to come around at least.
const LEAST_REPEATS: u32 = 4;
/// What goes beyond that, for a token that tells engines where texts begin and end: no task asks for many.
const SPECIAL_TOKEN: u32 = 400;
/// The same for a sentence, a phrase, a word: 300 tokens, a clean answer has stopped by then.
const TEXT: u32 = 1_200;
/// Code and markup with six to eight names: records of default values.
const FEW_NAMES: u32 = 2_400;
/// Code and markup with fewer: `null` in a row, empty cells of a table, boxes of a board.
const HARDLY_A_NAME: u32 = 16_000;
/// Base64 of a picture with one colour, hexadecimal zeros, a map of one letter.
const DENSE: u32 = 8_000;
/// A rule across the page, or a gap.
const RULE: u32 = 4_000;
/// Grids of figures and signs: 64 KB, more than answers are that were asked for one.
const GRID: u32 = 64_000;
/// A text in which only numbers change: a song that counts down from a hundred has 12 KB.
const COUNTING: u32 = 24_000;
/// Prose in which nothing is new, and what each place adds that is new all the same: questions about one thing have some.
const STALE_PROSE: u32 = 1_500;
const STALE_PROSE_FOR_NEWS: u32 = 600;
/// Prose with more signs, as comments on every member of an interface are.
const STALE_COMMENTS: u32 = 6_000;
/// Anything else in which nothing is new: rows of categories, moves of a game.
const STALE: u32 = 24_000;
/// Text with a figure in each line in which nothing else is new: a log of a service that is well.
const STALE_FIGURES: u32 = 36_000;
/// No length is enough: rows with figures are what many are asked for.
const NEVER: u32 = u32::MAX;

/// What a stretch of text is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    length: u32,
    letters: u32,
    /// Bytes of letters that are not ASCII.
    foreign: u32,
    numbers: u32,
    spaces: u32,
    /// Line breaks among them.
    lines: u32,
    /// Signs that sentences have, and all others.
    stops: u32,
    signs: u32,
    words: u32,
    /// A bit for each word, by its hash, and for each letter.
    seen_words: u64,
    seen_letters: u64,
    /// How often a capital stands after a small letter, or a letter after a number.
    switches: u32,
    last: u8,
    /// What it begins with.
    head: [u8; MOST_SPECIAL],
}

impl Unit {
    /// Sorts symbols.
    pub fn of(symbols: impl Iterator<Item = u8>) -> Self {
        let mut unit = Self::default();
        let mut word = 0;
        let mut picture = 0;
        for symbol in symbols {
            picture = match symbol {
                // Boxes, blocks and arrows have three bytes with this one, emoji four with that.
                0xE2 => 3,
                0xF0 => 4,
                0x80..0xC0 if picture > 1 => picture - 1,
                _ => 0,
            };
            let is_letter = picture == 0 && (symbol.is_ascii_alphabetic() || symbol >= 0x80);
            if is_letter {
                unit.letter(symbol, &mut word);
            } else {
                unit.end_word(&mut word);
                unit.other(symbol);
            }
            if let Some(place) = unit.head.get_mut(unit.length as usize) {
                *place = symbol;
            }
            unit.length += 1;
            unit.last = symbol;
        }
        unit.end_word(&mut word);
        unit
    }

    fn letter(&mut self, letter: u8, word: &mut u32) {
        self.letters += 1;
        self.foreign += u32::from(letter >= 0x80);
        let follows = self.last.is_ascii_lowercase() && letter.is_ascii_uppercase() || is_number(self.last);
        self.switches += u32::from(follows);
        let small = letter.to_ascii_lowercase();
        self.seen_letters |= 1 << (small % 64);
        *word = (*word ^ u32::from(small)).wrapping_mul(0x0100_0193);
    }

    fn end_word(&mut self, word: &mut u32) {
        if *word != 0 {
            self.words += 1;
            self.seen_words |= 1 << (word.wrapping_mul(0x9E37_79B1) >> 26);
            *word = 0;
        }
    }

    fn other(&mut self, symbol: u8) {
        self.lines += u32::from(symbol == b'\n');
        let sort = match symbol {
            _ if is_number(symbol) => &mut self.numbers,
            b' ' | b'\n' | b'\t' | b'\r' | 0x0B | 0x0C => &mut self.spaces,
            b'.' | b'!' | b'?' | b'\'' | b'-' | b'*' => &mut self.stops,
            _ => &mut self.signs,
        };
        *sort += 1;
    }

    /// For how long it has to come around with this period. `counts`: whether numbers change in it.
    pub fn needed(&self, period: u32, counts: bool) -> u32 {
        let beyond = if counts {
            self.needed_counting()
        } else {
            self.needed_unchanged(period)
        };
        beyond.saturating_add(LEAST_REPEATS * period)
    }

    fn needed_counting(&self) -> u32 {
        let is_sentence = self.is_plain() && self.words >= 5 && self.numbers * 20 < self.shown();
        if is_sentence { COUNTING } else { NEVER }
    }

    fn needed_unchanged(&self, period: u32) -> u32 {
        if self.is_special_token() {
            SPECIAL_TOKEN
        } else if period == 1 && matches!(self.last, b'!' | b'\n') {
            // The first is what comes when an engine's figures are no numbers any more: it leads many vocabularies.
            TEXT
        } else if period == 1 && self.letters + self.numbers == 0 {
            RULE
        } else if self.shown() == 0 {
            TEXT
        } else if self.is_data() {
            GRID
        } else if self.is_dense(period) {
            DENSE
        } else if self.is_plain() {
            TEXT
        } else {
            match self.seen_words.count_ones() {
                0..6 => HARDLY_A_NAME,
                6..9 => FEW_NAMES,
                _ => TEXT,
            }
        }
    }

    /// For how long hardly anything may be new in a text of which this is a part. `new`: how many of the last places were.
    pub fn needed_without_news(&self, new: u32) -> u32 {
        if self.is_data() {
            NEVER
        } else if self.numbers * 100 > self.length {
            STALE_FIGURES
        } else if !self.is_plain() || !self.is_spaced() || self.is_listing() {
            STALE
        } else if self.letters * 25 > self.shown() * 23 {
            STALE_PROSE + STALE_PROSE_FOR_NEWS * new
        } else if self.letters * 20 > self.shown() * 17 {
            STALE_COMMENTS
        } else {
            STALE
        }
    }

    /// Whether it is one token that texts do not have, wherever in it the unit begins.
    fn is_special_token(&self) -> bool {
        let Some(head) = self.head.get(..self.length as usize) else {
            return false;
        };
        let Some(start) = head.iter().position(|symbol| matches!(symbol, b'<' | b'[')) else {
            return false;
        };
        let mut token = [0; MOST_SPECIAL];
        let token = &mut token[..head.len()];
        token.copy_from_slice(head);
        token.rotate_left(start);
        let token = token.trim_ascii_end();
        let is_barred = BARS.iter().any(|(first, last)| {
            let name = token.strip_prefix(*first).and_then(|token| token.strip_suffix(*last));
            name.is_some_and(|name| !name.is_empty() && !name.contains(&b'<'))
        });
        is_barred || SPECIAL_TOKENS.iter().any(|special| token.eq_ignore_ascii_case(special))
    }

    fn shown(&self) -> u32 {
        self.length - self.spaces
    }

    /// Whether less than 35% of what can be seen are letters.
    fn is_data(&self) -> bool {
        self.letters * 20 < self.shown() * 7
    }

    /// Whether it has hardly a sign that prose has not.
    fn is_plain(&self) -> bool {
        self.signs * 8 < self.shown() && self.signs * 2 < self.words.max(2)
    }

    /// Whether hardly more than two words stand on a line: labels of rows, tags of words.
    fn is_listing(&self) -> bool {
        self.lines * 5 >= self.words * 2
    }

    /// Whether its words are as long as words are; scripts that do not part them have no ASCII.
    fn is_spaced(&self) -> bool {
        self.letters < self.words * 14 || self.foreign * 2 > self.letters
    }

    /// Whether it looks like bytes written as letters, or is one letter.
    fn is_dense(&self, period: u32) -> bool {
        if self.foreign > 0 || self.spaces > 0 {
            return false;
        }
        let is_hexadecimal = self.seen_letters & !HEXADECIMAL == 0;
        let is_three_bytes = period == 4 && self.signs + self.stops == 0;
        self.seen_letters.count_ones() == 1 || is_hexadecimal || is_three_bytes || self.switches > 0 || self.numbers > 0
    }
}

/// No longer ones are looked for, in symbols.
const MOST_SPECIAL: usize = 32;
/// Those of BERT, T5, Llama, Mistral and Gemma. Those that are tags of HTML as well stand alone seldom enough.
const SPECIAL_TOKENS: [&[u8]; 13] = [
    b"<pad>",
    b"<unk>",
    b"<s>",
    b"</s>",
    b"<bos>",
    b"<eos>",
    b"<mask>",
    b"<start_of_turn>",
    b"<end_of_turn>",
    b"[pad]",
    b"[unk]",
    b"[mask]",
    b"[/inst]",
];
/// Between what those of GPT, ChatML, Llama 3 and DeepSeek stand: the last with bars of full width.
const BARS: [(&[u8], &[u8]); 2] = [(b"<|", b"|>"), (b"<\xEF\xBD\x9C", b"\xEF\xBD\x9C>")];
/// The letters a to f as [`Unit::seen_letters`] has them.
const HEXADECIMAL: u64 = 0b0111_1110 << 32;
