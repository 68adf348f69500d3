//! A request -> its boundaries, in steps: a long prompt is not hashed in one turn.

use super::boundaries::{Boundaries, Found};
use super::chain::Chain;
use super::places::{outline, places};
use super::source::{Source, Text};
use crate::api::Generation;
use crate::ids::ModelName;

/// A prompt that is being hashed.
#[derive(Debug)]
pub struct Reading<'a> {
    chain: Chain,
    texts: Vec<Text<'a>>,
    /// Which of the texts comes next, or is under way,
    text: usize,
    /// and how much of it has been hashed.
    within: usize,
    /// How much of all has been hashed.
    at: u64,
    /// Where a boundary is wanted.
    places: Vec<u64>,
    boundaries: Boundaries,
}

impl<'a> Reading<'a> {
    /// Of a request for that model.
    pub fn new(model: &ModelName, request: &'a Generation) -> Self {
        let source = Source::of(request);
        let shape = source.shape();
        let mut chain = Chain::new(request.cache_salt.as_str(), model.as_str());
        for (name, json) in &source.settings {
            chain.begin(name);
            chain.write(json);
        }
        if let Some(first) = source.texts.first() {
            chain.begin(first.name);
        }
        Self {
            chain,
            boundaries: Boundaries {
                found: Vec::new(),
                anchors: shape.anchors(),
                outline: outline(&shape.ends, shape.anchor, shape.length),
                conversation: shape.conversation,
                answered: shape.answered,
                length: source.length_of_all(&shape),
                is_conversation: !shape.ends.is_empty(),
            },
            places: places(&shape.ends, shape.anchor, shape.length),
            texts: source.texts,
            text: 0,
            within: 0,
            at: 0,
        }
    }

    /// How many bytes there are to hash.
    pub fn length(&self) -> usize {
        self.places.last().map_or(0, |last| *last as usize)
    }

    /// Hashes about so many bytes more. False when that was the end.
    pub fn go_on(&mut self, bytes: usize) -> bool {
        let mut left = bytes;
        while let (Some(text), Some(place)) = (self.texts.get(self.text), self.places.get(self.boundaries.found.len()))
        {
            if left == 0 {
                return true;
            }
            let rest = &text.bytes[self.within..];
            let step = rest.len().min(left).min((place - self.at) as usize);
            self.chain.write(&rest[..step]);
            self.within += step;
            self.at += step as u64;
            // There may be a million messages of nothing.
            left = left.saturating_sub(step.max(LEAST_STEP));
            if self.at == *place {
                self.boundaries.found.push(Found {
                    key: self.chain.key(),
                    at: self.at,
                });
            }
            if self.within == text.bytes.len() {
                self.begin_next();
            }
        }
        false
    }

    /// The boundaries, of all that was hashed.
    pub fn into_boundaries(self) -> Boundaries {
        self.boundaries
    }

    fn begin_next(&mut self) {
        self.text += 1;
        self.within = 0;
        if let Some(next) = self.texts.get(self.text) {
            self.chain.begin(next.name);
        }
    }
}

/// What a step counts as at least, since a key or a message's beginning has its price too.
const LEAST_STEP: usize = 64;

#[cfg(test)]
mod tests;
