//! Answers that say the same again and again.
//!
//! Looked at as symbols pass (`symbols.rs`: letters without their case, numbers as one symbol each), in two ways:
//!
//! - **A period.** Where the last eight symbols stood before is found by their hash, for one place in sixteen, chosen by the
//!   hash itself, so that the same text has the same places. From there on each symbol is compared with the one a period
//!   before. How long a match has to be depends on what comes around (`unit.rs`): a sentence, a row of zeros, a number that
//!   counts.
//! - **Nothing new.** Of the last 128 such places, few had eight symbols that the last 4 KB did not have: phrases in turns,
//!   a text that grows, a word that varies.
//!
//! It never holds more than the last 4 KB, and decides nothing of what becomes of the answer.

mod novelty;
mod symbols;
mod unit;

use super::{Detector, Finding};
use novelty::{Novelty, WINDOW};
use symbols::{Symbols, alike, fold, is_no_symbol, is_number};
use unit::Unit;

/// How many symbols are remembered: the longest period that is found, 4 KB.
const MEMORY: usize = 4096;
/// How many places are remembered, two in each set: as many as 4 KB have at one in sixteen.
const SETS: usize = 128;
/// How many symbols are looked up together.
const GRAM: u32 = 8;
/// A place is looked up when this many bits of its hash are zero: one in sixteen.
const PLACE_BITS: u32 = 4;
/// Where no hash is like that for so long, the place is looked up all the same: a short period has few places.
const PLACE_AT_LEAST_EVERY: u32 = 64;
/// Periods up to here are tried one by one in a text without places.
const SHORT: u32 = 32;
/// Finds one text that repeats itself. It takes 5.1 KB.
#[derive(Clone, Debug)]
pub struct Repetition {
    symbols: Symbols,
    memory: [u8; MEMORY],
    /// By their hashes, the newer one first.
    places: [[Place; 2]; SETS],
    end: End,
    novelty: Novelty,
    bytes: u64,
    is_done: bool,
}

/// What changes with every symbol: small enough to stay in registers while a piece is read.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// How many symbols there were.
    length: u32,
    since_place: u32,
    /// The last eight, folded.
    gram: u64,
    follows: Follows,
}

/// What is believed to come around.
#[derive(Clone, Copy, Debug, Default)]
struct Follows {
    /// In symbols; 0 where nothing is believed.
    period: u32,
    /// How many symbols were as they were a period before.
    matched: u32,
    /// How many of them were other numbers.
    counted: u32,
    /// When to look at what comes around, by how many have matched.
    look_at: u32,
}

impl Default for Repetition {
    fn default() -> Self {
        Self {
            symbols: Symbols::default(),
            memory: [0; MEMORY],
            places: [[Place::default(); 2]; SETS],
            end: End::default(),
            novelty: Novelty::default(),
            bytes: 0,
            is_done: false,
        }
    }
}

impl Repetition {
    /// Reads on. Says once that the text repeats itself, in the piece in which that is certain.
    pub fn push(&mut self, text: &str) -> Option<Finding> {
        if self.is_done {
            return None;
        }
        let mut rest = text.as_bytes();
        while let Some(&byte) = rest.first() {
            let (taken, is_due) = match self.end.skip(rest, &mut self.memory, self.symbols.is_within()) {
                (0, _) => (1, self.take(byte)),
                skipped => skipped,
            };
            self.bytes += taken as u64;
            rest = &rest[taken..];
            if is_due {
                let found = self.look();
                if found.is_some() {
                    self.is_done = true;
                    return found;
                }
            }
        }
        None
    }

    /// Reads a byte, whatever it is. Whether there is something to look at.
    fn take(&mut self, byte: u8) -> bool {
        let is_digit = byte.is_ascii_digit();
        let number = if is_digit {
            self.symbols.digit(byte)
        } else {
            self.symbols.end()
        };
        let is_due = number.is_some_and(|number| self.end.take(number, &mut self.memory));
        is_due | (!is_digit && self.end.take(symbols::sign(byte), &mut self.memory))
    }

    /// Looks up the place that was reached, and at what comes around, where it is time for that.
    #[inline(never)]
    fn look(&mut self) -> Option<Finding> {
        let follows = self.end.follows;
        let period = if follows.is_due() { self.look_at_period() } else { None };
        if self.end.is_place() {
            self.look_up();
        }
        let is_stale = self.novelty.is_due(self.end.length);
        let found = period.or_else(|| if is_stale { self.look_around() } else { None })?;
        Some(Finding {
            at_bytes: self.bytes,
            ..found
        })
    }

    /// The symbol that came so long ago, 1 being the last.
    fn back(&self, symbols: u32) -> u8 {
        self.memory[self.end.length.wrapping_sub(symbols) as usize % MEMORY]
    }

    fn latest(&self, symbols: u32) -> impl Iterator<Item = u8> {
        (1..=symbols).rev().map(|ago| self.back(ago))
    }

    /// Looks whether the last symbols stood together before.
    fn look_up(&mut self) {
        let is_bare = self.end.since_place >= PLACE_AT_LEAST_EVERY;
        self.end.since_place = 0;
        let hash = self.end.hash() >> 16;
        let (set, length) = (hash as usize >> 16 & (SETS - 1), self.end.length);
        let here = Place {
            at: length as u16,
            tag: hash as u16,
        };
        let [newer, older] = self.places[set];
        let known = [newer, older].map(|place| place.tag == here.tag && place.ago(length).is_some());
        // What is looked up stands first, in the room of where it was found, or else of the older one.
        self.places[set] = [here, if known[0] { older } else { newer }];
        let before = if known[0] { newer } else { older };
        let is_known = known[0] || known[1];
        if let (true, 0, Some(ago)) = (is_known, self.end.follows.period, before.ago(length)) {
            self.end.follows = Follows::beginning(ago);
        }
        if is_bare && self.end.follows.period == 0 {
            let short = (1..=SHORT).find(|period| self.comes_around(*period, SHORT));
            self.end.follows = short.map(Follows::beginning).unwrap_or_default();
        }
        self.novelty.note(!is_known, length);
    }

    /// Whether the last `symbols` are as they were a period before.
    fn comes_around(&self, period: u32, symbols: u32) -> bool {
        (1..=symbols).all(|ago| alike(self.back(ago), self.back(ago + period)))
    }

    /// Looks at what comes around: whether it has for long enough.
    fn look_at_period(&mut self) -> Option<Finding> {
        let follows = self.end.follows;
        let period = self.primitive(follows.period);
        let needed = Unit::of(self.latest(period)).needed(period, follows.counted > 0);
        let span = follows.matched + follows.period;
        if span < needed {
            self.end.follows.look_at = needed - follows.period;
            return None;
        }
        let reason = format!("the same {period} characters {} times", span / period);
        Some(finding(span, needed, reason))
    }

    /// The least period of what comes around with a period: the text may have been recognized after some rounds only.
    fn primitive(&self, period: u32) -> u32 {
        let rests = |shorter: &u32| period.is_multiple_of(*shorter) && self.comes_around(*shorter, period);
        (1..period).find(rests).unwrap_or(period)
    }

    /// Looks at what has come while nothing was new.
    fn look_around(&mut self) -> Option<Finding> {
        let length = self.end.length;
        let span = self.novelty.stale_for(length);
        let needed = Unit::of(self.latest(AROUND.min(length))).needed_without_news(self.novelty.news());
        if span < needed {
            self.novelty.look_later(length);
            return None;
        }
        let reason = format!(
            "{} of {WINDOW} places were new for {span} characters",
            self.novelty.news()
        );
        Some(finding(span, needed, reason))
    }
}

impl End {
    /// Adds the bytes that a text begins with and that are symbols by themselves, as long as nothing is believed to come
    /// around: up to the next place, most often. Gives how many, and whether there is something to look at. It does what
    /// [`take`](Self::take) does with each, for less.
    #[inline]
    fn skip(&mut self, text: &[u8], memory: &mut [u8; MEMORY], is_within_number: bool) -> (usize, bool) {
        let room = (MEMORY - self.length as usize % MEMORY).min((PLACE_AT_LEAST_EVERY - 1 - self.since_place) as usize);
        if self.follows.period != 0 || is_within_number {
            return (0, false);
        }
        let here = self.length as usize % MEMORY;
        let mut gram = self.gram;
        let (mut taken, mut is_due) = (0, false);
        for (&byte, symbol) in text.iter().zip(&mut memory[here..here + room]) {
            if is_no_symbol(byte) {
                break;
            }
            *symbol = byte;
            gram = gram << 8 | u64::from(fold(byte));
            taken += 1;
            if hash(gram) >> (64 - PLACE_BITS) == 0 {
                is_due = true;
                break;
            }
        }
        self.gram = gram;
        self.length = self.length.wrapping_add(taken as u32);
        self.since_place += taken as u32;
        (taken, is_due)
    }

    /// Adds a symbol. Whether there is something to look at.
    #[inline]
    fn take(&mut self, symbol: u8, memory: &mut [u8; MEMORY]) -> bool {
        let here = self.length as usize;
        memory[here % MEMORY] = symbol;
        self.length = self.length.wrapping_add(1);
        self.since_place += 1;
        self.gram = self.gram << 8 | u64::from(fold(symbol));
        if self.follows.period == 0 {
            return self.is_place();
        }
        let before = memory[here.wrapping_sub(self.follows.period as usize) % MEMORY];
        if alike(symbol, before) {
            self.follows.matched += 1;
            self.follows.counted += u32::from(symbol != before && is_number(symbol));
        } else {
            self.follows = Follows::default();
        }
        self.follows.is_due() | self.is_place()
    }

    /// Whether what ends here is looked up.
    #[inline]
    fn is_place(&self) -> bool {
        self.hash() >> (64 - PLACE_BITS) == 0 || self.since_place >= PLACE_AT_LEAST_EVERY
    }

    #[inline]
    fn hash(&self) -> u64 {
        hash(self.gram)
    }
}

/// Of the last eight symbols. The multiplier, 2^64 divided by the golden ratio, has all of them reach the upper bits.
#[inline]
fn hash(gram: u64) -> u64 {
    gram.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Follows {
    fn beginning(period: u32) -> Self {
        Self {
            period,
            matched: GRAM,
            counted: 0,
            look_at: (3 * period).max(FIRST_LOOK),
        }
    }

    #[inline]
    fn is_due(&self) -> bool {
        self.period != 0 && self.matched >= self.look_at
    }
}

fn finding(span: u32, needed: u32, reason: String) -> Finding {
    Finding {
        detector: Detector::Repetition,
        score: span as f32 / needed as f32,
        at_bytes: 0,
        reason,
    }
}

/// After how many equal symbols a unit is first looked at.
const FIRST_LOOK: u32 = 256;
/// How much of a text without news is looked at.
const AROUND: u32 = 2048;

/// Where symbols stood together.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// How many symbols there were then, modulo 2^16.
    at: u16,
    /// More of the hash: one in 65,000 of other texts has the same.
    tag: u16,
}

impl Place {
    /// How long ago that was, where what stood there is still remembered.
    fn ago(self, length: u32) -> Option<u32> {
        let ago = u32::from((length as u16).wrapping_sub(self.at));
        (ago > 0 && ago + GRAM < MEMORY as u32 && ago + GRAM <= length).then_some(ago)
    }
}

#[cfg(test)]
mod tests;
