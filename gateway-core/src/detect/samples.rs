//! Texts for the detectors' tests, and how they are read. The corpus of `cargo xtask bench detectors` has real ones.

use tidegate_virtual::Random;

use super::Finding;

/// What a seed decides, the same on every machine.
pub struct Dice(Random);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub fn below(&mut self, most: usize) -> usize {
        self.0.within(0..most as u64) as usize
    }

    pub fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// Sentences that differ, and share words as sentences do.
pub fn prose(dice: &mut Dice, bytes: usize) -> String {
    const WHO: &[&str] = &[
        "The captain",
        "My neighbour",
        "A child",
        "Nobody",
        "The old baker",
        "Her sister",
        "Every guest",
    ];
    const DID: &[&str] = &[
        "saw",
        "forgot",
        "painted",
        "carried",
        "sold",
        "believed in",
        "walked around",
        "laughed at",
    ];
    const WHAT: &[&str] = &[
        "the harbour",
        "a letter",
        "seven apples",
        "the broken clock",
        "his garden",
        "that story",
        "the river",
    ];
    const WHEN: &[&str] = &[
        "before noon",
        "in silence",
        "with both hands",
        "after the storm",
        "for a year",
        "without a word",
    ];
    let mut text = String::new();
    while text.len() < bytes {
        let parts = [WHO, DID, WHAT, WHEN].map(|choices| dice.one_of(choices));
        text.push_str(&format!("{} {:x}. ", parts.join(" "), dice.below(1 << 30)));
    }
    text
}

/// What a detector finds in a text that comes in pieces of so many bytes.
pub fn read(text: &str, size: usize, mut push: impl FnMut(&str) -> Option<Finding>) -> Option<Finding> {
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(size));
        if let Some(found) = push(piece) {
            return Some(found);
        }
        rest = after;
    }
    None
}
