//! How long answers are: a histogram of output tokens, from which comes what to expect of the next one.

use serde::{Deserialize, Serialize};

/// Answers by length, the newest weighing most. Lengths are kept to within a factor of the square root of two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outputs {
    /// How many answers fell into each class, from short to long.
    counts: Vec<u32>,
}

impl Outputs {
    /// An answer of that many tokens has ended.
    pub fn on_output(&mut self, tokens: u64) {
        let class = class(tokens);
        if self.counts.len() <= class {
            self.counts.resize(class + 1, 0);
        }
        self.counts[class] = self.counts[class].saturating_add(1);
        self.fade();
    }

    /// Adds what was seen elsewhere.
    pub fn add(&mut self, other: &Self) {
        let classes = other.counts.len().min(CLASSES);
        if self.counts.len() < classes {
            self.counts.resize(classes, 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.fade();
    }

    /// The length, in tokens, that nine of ten answers stay within; `None` while too few have been seen.
    pub fn expected(&self) -> Option<u64> {
        let total = self.total();
        if total < FEWEST {
            return None;
        }
        let mut seen = 0;
        let class = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen * 10 >= total * 9
        });
        class.map(longest)
    }

    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn total(&self) -> u64 {
        self.counts.iter().copied().map(u64::from).sum()
    }

    fn fade(&mut self) {
        while self.total() > MOST {
            self.counts.iter_mut().for_each(|count| *count /= 2);
        }
    }
}

/// The class of a length: two for each power of two.
fn class(tokens: u64) -> usize {
    let tokens = tokens.clamp(1, LONGEST);
    let power = tokens.ilog2();
    let is_upper_half = u128::from(tokens) * u128::from(tokens) >= 1 << (2 * power + 1);
    usize::try_from(2 * power).unwrap_or_default() + usize::from(is_upper_half)
}

/// The longest length of a class.
fn longest(class: usize) -> u64 {
    ((1_u64 << (class + 1)) - 1).isqrt()
}

/// Answers that must have been seen before anything is expected of them.
const FEWEST: u64 = 32;
/// More are halved, so that what is expected follows what changes.
const MOST: u64 = 1_024;
/// Longer answers count as this long.
const LONGEST: u64 = (1 << 21) - 1;
const CLASSES: usize = 42;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_order_and_hold_what_falls_into_them() {
        for tokens in (1..5_000).chain([LONGEST - 1, LONGEST, u64::MAX]) {
            let class = class(tokens);
            assert!(class < CLASSES && longest(class) >= tokens.min(LONGEST), "{tokens}");
            assert!(class == 0 || longest(class - 1) < tokens, "{tokens}");
        }
        assert_eq!(class(0), 0);
    }

    #[test]
    fn nine_of_ten_answers_stay_within_what_is_expected() {
        let mut outputs = Outputs::default();
        (1..=31).for_each(|_| outputs.on_output(100));
        assert_eq!(outputs.expected(), None);
        (0..69).for_each(|_| outputs.on_output(100));
        assert_eq!(outputs.expected(), Some(127));
        (0..12).for_each(|_| outputs.on_output(4_000));
        assert_eq!(outputs.expected(), Some(4_095));
    }

    #[test]
    fn what_changes_is_followed() {
        let (mut outputs, mut long) = (Outputs::default(), Outputs::default());
        (0..5_000).for_each(|_| outputs.on_output(10));
        assert_eq!(outputs.expected(), Some(11));
        (0..300).for_each(|_| long.on_output(1_000));
        outputs.add(&long);
        outputs.add(&long);
        assert_eq!(outputs.expected(), Some(1_023));
    }
}
