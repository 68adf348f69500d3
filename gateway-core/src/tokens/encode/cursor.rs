//! How far a text has been encoded: it is taken part by part, so that who encodes a long one can pause in between.

use std::ops::Range;

use super::added::{AddedTokens, Found};
use super::windows::window;

/// A place in a text, and how it was come to.
#[derive(Debug)]
pub(in crate::tokens) struct Cursor {
    /// The stretch that each pass over the text looks at, the first one's at the bottom, and at the top one that has no
    /// added tokens.
    stretches: Vec<Stretch>,
}

/// What one pass looks at, as places in the text.
#[derive(Debug)]
struct Stretch {
    begin: usize,
    /// Up to here it is done.
    at: usize,
    end: usize,
    /// What comes when all before it is done.
    found: Option<Found>,
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// An added token, by its id.
    Added(u32),
    /// Where text without any stands.
    Plain(Range<usize>),
}

impl Cursor {
    /// Before the first part of a text of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            stretches: vec![Stretch::new(0, bytes)],
        }
    }

    /// The next part of `text`, which must be the same each time.
    pub(super) fn next(&mut self, passes: &[AddedTokens], text: &str) -> Option<Part> {
        loop {
            let later = self.stretches.len();
            let stretch = self.stretches.last_mut()?;
            if let Some(found) = stretch.found.take() {
                stretch.at = found.end;
                return Some(Part::Added(found.id));
            }
            if stretch.at >= stretch.end {
                self.stretches.pop();
                continue;
            }
            let Some(pass) = passes.get(later - 1) else {
                let from = stretch.at;
                stretch.at += window(&text[from..stretch.end]);
                return Some(Part::Plain(from..stretch.at));
            };
            let before = stretch.look(pass, text);
            self.stretches.push(before);
        }
    }
}

impl Stretch {
    fn new(begin: usize, end: usize) -> Self {
        Self {
            begin,
            at: begin,
            end,
            found: None,
        }
    }

    /// Looks for the next added token, and gives what is before it.
    fn look(&mut self, pass: &AddedTokens, text: &str) -> Self {
        let (begin, from) = (self.begin, self.at);
        let found = pass.find(&text[begin..self.end], from - begin);
        self.found = found.map(|Found { start, end, id }| Found {
            start: begin + start,
            end: begin + end,
            id,
        });
        self.at = self.found.as_ref().map_or(self.end, |found| found.start);
        Self::new(from, self.at)
    }
}
