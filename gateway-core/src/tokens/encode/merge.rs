//! Byte pair encoding of one piece that is no token as a whole.
//!
//! Of all neighbours whose bytes together are a token, those with the lowest id are merged first, the leftmost of
//! equals, until there are none. That needs no list of merges: docs/decisions/0008-tables-without-merges.md has why
//! this is what merging by such a list does, and why a long piece may be encoded in overlapping parts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::known::{Known, NO_MERGE};
use super::recent::Recent;
use super::sink::Sink;
use crate::tokens::table::Vocabulary;

/// Merges pieces; it keeps its memory between them.
#[derive(Debug, Default)]
pub(super) struct Merger {
    /// Where the tokens of the piece end, counted from its start.
    ends: Vec<u32>,
    /// Ids that neighbours merge to: of the tokens that end at `ends[n]` and `ends[n + 1]`.
    ranks: Vec<u32>,
    queue: BinaryHeap<Reverse<Merge>>,
    symbols: Vec<Symbol>,
    known: Known,
    recent: Recent,
}

/// A piece of a text.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    vocabulary: &'a Vocabulary<'a>,
    text: &'a [u8],
    start: usize,
    length: usize,
}

/// A merge that is possible, ordered as it is done: by rank, then from the left.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Merge {
    rank: u32,
    start: u32,
    end: u32,
}

/// Bytes that are merged so far, by where they start.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    /// Where the one before starts; its own start for the first.
    before: u32,
    /// Where it ends; [`MERGED`] when it has become part of the one before.
    end: u32,
}

impl Merger {
    /// Tells the tokens of a piece of `text`.
    pub fn merge<S: Sink>(&mut self, vocabulary: &Vocabulary<'_>, text: &[u8], range: Range<usize>, sink: &mut S) {
        if !S::WANTS_IDS && range.len() <= Recent::LONGEST {
            let count = self.recent.get(text, range.clone());
            let count = count.unwrap_or_else(|| {
                self.find_ends(Piece::new(vocabulary, text, range.clone()));
                self.recent.put(text, range, self.ends.len());
                self.ends.len()
            });
            return (0..count).for_each(|_| sink.token(|| 0));
        }
        let piece = Piece::new(vocabulary, text, range);
        self.find_ends(piece);
        let mut start = 0;
        for end in &self.ends {
            sink.token(|| piece.id(start, *end));
            start = *end;
        }
    }

    fn find_ends(&mut self, piece: Piece<'_>) {
        if piece.length <= SHORT {
            self.merge_by_scanning(piece);
        } else if piece.length <= PART || self.merge_in_parts(piece).is_none() {
            self.merge_by_queue(piece);
        }
    }

    /// Looks for the best merge anew each time: the quickest for few bytes.
    fn merge_by_scanning(&mut self, piece: Piece<'_>) {
        let Self { ends, ranks, known, .. } = self;
        let mut rank = |start, end| known.rank(piece.vocabulary, piece.text, piece.range(start, end));
        ends.clear();
        ends.extend((1..).take(piece.length));
        ranks.clear();
        ranks.extend((2..).take(piece.length - 1).map(|end| rank(end - 2, end)));
        while let Some((best, lowest)) = ranks.iter().copied().enumerate().min_by_key(|(_, rank)| *rank) {
            if lowest == NO_MERGE {
                break;
            }
            ends.remove(best);
            ranks.remove(best);
            let mut rank_of = |pair: usize| rank(pair.checked_sub(1).map_or(0, |before| ends[before]), ends[pair + 1]);
            if best < ranks.len() {
                ranks[best] = rank_of(best);
            }
            if let Some(before) = best.checked_sub(1) {
                ranks[before] = rank_of(before);
            }
        }
    }

    /// Encodes a long piece part by part, so that time grows with its length only. Each part begins with a token of
    /// the part before; when it is encoded as the same token again, the two fit together. [`None`] when a part fits
    /// to none of several tokens, which no tokenizer in use was seen to bring about.
    fn merge_in_parts(&mut self, piece: Piece<'_>) -> Option<()> {
        let mut settled = Vec::new();
        let mut part = self.part(piece, 0);
        while part.last().is_some_and(|end| (*end as usize) < piece.length) {
            let latest = part.len() * 3 / 4;
            let mut anchors = (1..=latest).rev().take(ANCHORS);
            let (anchor, next) = anchors.find_map(|anchor| {
                let next = self.part(piece, part[anchor - 1]);
                (next.first() == part.get(anchor)).then_some((anchor, next))
            })?;
            settled.extend_from_slice(&part[..anchor]);
            part = next;
        }
        settled.append(&mut part);
        self.ends = settled;
        Some(())
    }

    /// Where the tokens end of the part of `piece` that begins at `from`.
    fn part(&mut self, piece: Piece<'_>, from: u32) -> Vec<u32> {
        self.merge_by_queue(Piece {
            start: piece.start + from as usize,
            length: PART.min(piece.length - from as usize),
            ..piece
        });
        self.ends.iter().map(|end| from + end).collect()
    }

    /// Keeps possible merges in a queue: n log n steps for n bytes.
    fn merge_by_queue(&mut self, piece: Piece<'_>) {
        let Self {
            queue,
            symbols,
            ends,
            known,
            ..
        } = self;
        let mut possible = |start, end| {
            let rank = known.rank(piece.vocabulary, piece.text, piece.range(start, end));
            (rank != NO_MERGE).then_some(Reverse(Merge { rank, start, end }))
        };
        let length = piece.length as u32;
        symbols.clear();
        symbols.extend((0..length).map(|at| Symbol {
            before: at.saturating_sub(1),
            end: at + 1,
        }));
        queue.clear();
        queue.extend((2..=length).filter_map(|end| possible(end - 2, end)));
        while let Some(Reverse(Merge { start, end, .. })) = queue.pop() {
            let Symbol { before, end: middle } = symbols[start as usize];
            // Either part may have been merged with another since.
            if middle == MERGED || middle >= end || symbols[middle as usize].end != end {
                continue;
            }
            symbols[middle as usize].end = MERGED;
            symbols[start as usize].end = end;
            if let Some(behind) = symbols.get_mut(end as usize) {
                behind.before = start;
                queue.extend(possible(start, behind.end));
            }
            if before < start {
                queue.extend(possible(before, end));
            }
        }
        ends.clear();
        ends.extend(symbols.iter().map(|symbol| symbol.end).filter(|end| *end != MERGED));
    }
}

impl<'a> Piece<'a> {
    fn new(vocabulary: &'a Vocabulary<'a>, text: &'a [u8], range: Range<usize>) -> Self {
        Self {
            vocabulary,
            text,
            start: range.start,
            length: range.len(),
        }
    }

    /// The id of the token that these of its bytes are.
    fn id(self, start: u32, end: u32) -> u32 {
        let slot = self.vocabulary.find(self.text, self.range(start, end));
        slot.map_or(0, |slot| self.vocabulary.id(slot))
    }

    fn range(self, start: u32, end: u32) -> Range<usize> {
        self.start + start as usize..self.start + end as usize
    }
}

/// Marks bytes that have become part of what is before them.
const MERGED: u32 = 0;
/// Up to so many bytes, looking for the best merge takes less time than keeping a queue.
const SHORT: usize = 48;
/// How many bytes a part of a long piece has: several times the longest tokens in use.
const PART: usize = 512;
/// How many tokens are tried for the next part to begin with.
const ANCHORS: usize = 16;
