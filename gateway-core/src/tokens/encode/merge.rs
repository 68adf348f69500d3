//! Byte pair encoding of one piece that is no token as a whole.
//!
//! Of all neighbours whose bytes together are a token, those with the lowest id are merged first, the leftmost of
//! equals, until there are none. That needs no list of merges: docs/decisions/0008-tables-without-merges.md has why
//! this is what merging by such a list does, and why a long piece may be encoded in overlapping parts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::sink::Sink;
use crate::tokens::table::Vocabulary;

/// Merges pieces; it keeps its memory between them.
#[derive(Debug, Default)]
pub(super) struct Merger {
    /// Where the tokens of the piece end.
    ends: Vec<u32>,
    /// Ids that neighbours merge to: of the tokens that end at `ends[n]` and `ends[n + 1]`.
    ranks: Vec<u32>,
    queue: BinaryHeap<Reverse<Merge>>,
    symbols: Vec<Symbol>,
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
    /// Tells the tokens of `piece`.
    pub fn merge<S: Sink>(&mut self, vocabulary: &Vocabulary<'_>, piece: &[u8], sink: &mut S) {
        if piece.len() <= SHORT {
            self.merge_by_scanning(vocabulary, piece);
        } else if piece.len() <= PART || self.merge_in_parts(vocabulary, piece).is_none() {
            self.ends.clear();
            self.merge_by_queue(vocabulary, piece);
        }
        let mut start = 0;
        for end in &self.ends {
            let end = *end as usize;
            sink.token(|| {
                vocabulary
                    .find(&piece[start..end])
                    .map_or(0, |slot| vocabulary.id(slot))
            });
            start = end;
        }
    }

    /// Looks for the best merge anew each time: the quickest for few bytes.
    fn merge_by_scanning(&mut self, vocabulary: &Vocabulary<'_>, piece: &[u8]) {
        let Self { ends, ranks, .. } = self;
        ends.clear();
        ends.extend((1..).take(piece.len()));
        ranks.clear();
        ranks.extend(piece.windows(2).map(|pair| vocabulary.merged(pair).unwrap_or(NO_MERGE)));
        while let Some((best, rank)) = ranks.iter().copied().enumerate().min_by_key(|(_, rank)| *rank) {
            if rank == NO_MERGE {
                break;
            }
            ends.remove(best);
            ranks.remove(best);
            let rank_of = |pair: usize| {
                let start = pair.checked_sub(1).map_or(0, |before| ends[before] as usize);
                vocabulary
                    .merged(&piece[start..ends[pair + 1] as usize])
                    .unwrap_or(NO_MERGE)
            };
            if best < ranks.len() {
                ranks[best] = rank_of(best);
            }
            if let Some(before) = best.checked_sub(1) {
                ranks[before] = rank_of(before);
            }
        }
    }

    /// Encodes a long piece part by part, in memory and time that do not depend on how parts hang together. Each part
    /// begins with a token of the part before; when it is encoded as the same token again, the two fit together.
    /// [`None`] when a part fits to none of several tokens, which no tokenizer in use was seen to bring about.
    fn merge_in_parts(&mut self, vocabulary: &Vocabulary<'_>, piece: &[u8]) -> Option<()> {
        let mut settled = Vec::new();
        let mut part = self.part(vocabulary, piece, 0);
        while part.last().is_some_and(|end| (*end as usize) < piece.len()) {
            let latest = part.len() * 3 / 4;
            let mut anchors = (1..=latest).rev().take(ANCHORS);
            let (anchor, next) = anchors.find_map(|anchor| {
                let next = self.part(vocabulary, piece, part[anchor - 1]);
                (next[0] == part[anchor]).then_some((anchor, next))
            })?;
            settled.extend_from_slice(&part[..anchor]);
            part = next;
        }
        settled.append(&mut part);
        self.ends = settled;
        Some(())
    }

    /// Where the tokens end of the part of `piece` that begins at `from`.
    fn part(&mut self, vocabulary: &Vocabulary<'_>, piece: &[u8], from: u32) -> Vec<u32> {
        let rest = &piece[from as usize..];
        self.ends.clear();
        self.merge_by_queue(vocabulary, &rest[..rest.len().min(PART)]);
        self.ends.iter().map(|end| from + end).collect()
    }

    /// Appends where the tokens of `piece` end. Keeps possible merges in a queue: n log n steps for n bytes.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a piece is shorter than 4 GiB, as a span's ends are"
    )]
    fn merge_by_queue(&mut self, vocabulary: &Vocabulary<'_>, piece: &[u8]) {
        let Self {
            queue, symbols, ends, ..
        } = self;
        let possible = |start: u32, end: u32| {
            let rank = vocabulary.merged(&piece[start as usize..end as usize])?;
            Some(Reverse(Merge { rank, start, end }))
        };
        let length = piece.len() as u32;
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
        ends.extend(symbols.iter().map(|symbol| symbol.end).filter(|end| *end != MERGED));
    }
}

/// Behind every rank.
const NO_MERGE: u32 = u32::MAX;
/// Marks bytes that have become part of what is before them.
const MERGED: u32 = 0;
/// Up to so many bytes, looking for the best merge takes less time than keeping a queue.
const SHORT: usize = 48;
/// How many bytes a part of a long piece has: several times the longest tokens in use.
const PART: usize = 2048;
/// How many tokens are tried for the next part to begin with.
const ANCHORS: usize = 16;
