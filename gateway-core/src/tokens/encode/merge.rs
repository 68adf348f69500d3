//! Byte pair encoding of one piece that is no token as a whole.
//!
//! Of all neighbours whose bytes together are a token, those with the lowest id are merged first, the leftmost of
//! equals, until there are none. That needs no list of merges: docs/decisions/0008-tables-without-merges.md has why
//! this is what merging by such a list does, why it may begin with whole characters where the table says so, and why a
//! long piece may be encoded in overlapping parts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::merge_cache::MergeCache;
use super::scan::{MOST, Scan};
use crate::tokens::table::{MAX_ID, MAX_TOKEN_BYTES, Vocabulary};

/// Merges pieces; it keeps its memory between them.
#[derive(Debug, Default)]
pub(super) struct Merger {
    /// Where the tokens of the piece or part end, counted from the piece's start.
    ends: Vec<u32>,
    queue: BinaryHeap<Reverse<u64>>,
    symbols: Vec<Symbol>,
    scan: Scan,
    merge_cache: MergeCache,
}

/// How far a long piece is encoded, part by part, so that time grows with its length only. Each part begins with a token of
/// the part before; when it is encoded as the same token again, the two fit together. Where none of several tokens fits,
/// parts are made longer.
#[derive(Debug)]
pub(crate) struct Parts {
    from: u32,
    bytes: usize,
    /// Where the tokens of the part that begins at `from` end.
    part: Vec<u32>,
    /// Tokens before it.
    settled: u64,
}

impl Parts {
    /// How many tokens there are of what is done for certain.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// How many bytes that is.
    pub fn bytes(&self) -> usize {
        self.from as usize
    }
}

/// A piece of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub vocabulary: &'a Vocabulary<'a>,
    pub text: &'a [u8],
    pub start: usize,
    pub length: usize,
}

/// A merge that is possible. As a number, the one that is done first is the least: by rank, then from the left.
#[derive(Clone, Copy, Debug)]
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
    /// Keeps merges from here on.
    pub fn make_room(&mut self) {
        self.merge_cache.make_room();
    }

    /// Begins to count a long piece part by part, of which [`go_on`](Self::go_on) does the next.
    pub fn begin_parts(&mut self, piece: Piece<'_>) -> Parts {
        let (from, bytes) = (0, PART_BYTES.start);
        Parts {
            from,
            bytes,
            part: self.part(piece, from, bytes),
            settled: 0,
        }
    }

    /// Encodes the next part of a piece, and tells `settle` where the tokens of the one before end, counted from the piece's
    /// start. Gives whether there is more; [`None`] when it cannot be encoded so, which no tokenizer in use was seen to bring
    /// about: then nothing that was told counts.
    pub fn go_on(&mut self, piece: Piece<'_>, parts: &mut Parts, mut settle: impl FnMut(&[u32])) -> Option<bool> {
        let part = &parts.part;
        if part.last().is_none_or(|end| *end as usize >= piece.length) {
            parts.settled += part.len() as u64;
            settle(part);
            return Some(false);
        }
        let latest = part.len() * 3 / 4;
        let mut anchors = (1..=latest).rev().take(ANCHORS);
        let fitting = anchors.find_map(|anchor| {
            let next = self.part(piece, part[anchor - 1], parts.bytes);
            (next.first() == part.get(anchor)).then_some((anchor, next))
        });
        if let Some((anchor, next)) = fitting {
            settle(&part[..anchor]);
            parts.settled += anchor as u64;
            parts.from = part[anchor - 1];
            parts.part = next;
        } else {
            parts.bytes *= 4;
            let can_be = PART_BYTES.contains(&parts.bytes);
            let longer = can_be.then(|| self.part(piece, parts.from, parts.bytes))?;
            // What was settled before fits to this part's first token.
            let still_fits = parts.from == 0 || longer.first() == part.first();
            parts.part = still_fits.then_some(longer)?;
        }
        Some(true)
    }

    /// How many tokens `piece` is, encoded as a whole.
    pub fn count_at_once(&mut self, piece: Piece<'_>) -> u64 {
        self.merge_at_once(piece);
        self.ends.len() as u64
    }

    /// How many tokens `piece` is.
    pub fn count(&mut self, piece: Piece<'_>) -> u64 {
        if piece.length > PART_BYTES.start {
            let mut count = 0;
            if self.merge_in_parts(piece, |ends| count += ends.len()).is_some() {
                return count as u64;
            }
        }
        self.count_at_once(piece)
    }

    /// Where the tokens of `piece` end, counted from its start.
    pub fn ends(&mut self, piece: Piece<'_>) -> &[u32] {
        let mut settled = Vec::new();
        if piece.length > PART_BYTES.start
            && self
                .merge_in_parts(piece, |ends| settled.extend_from_slice(ends))
                .is_some()
        {
            self.ends = settled;
        } else {
            self.merge_at_once(piece);
        }
        &self.ends
    }

    fn merge_at_once(&mut self, piece: Piece<'_>) {
        self.begin(piece);
        if self.ends.len() <= MOST {
            self.scan.merge(piece, &mut self.merge_cache, &mut self.ends);
        } else {
            self.merge_by_queue(piece);
        }
    }

    /// Puts into `ends` what merging begins with: characters that surely come together first, else single bytes.
    fn begin(&mut self, piece: Piece<'_>) {
        let Self { ends, merge_cache, .. } = self;
        let bytes = piece.bytes();
        ends.clear();
        let mut at = 0;
        while let Some(first) = bytes.get(at) {
            let end = at + character_bytes(*first);
            let is_whole = end - at > 1 && end <= bytes.len() && {
                let beside = [bytes.get(at.wrapping_sub(1)), bytes.get(end)];
                let inside = beside.into_iter().flatten().all(|byte| !byte.is_ascii());
                let range = piece.range(at as u32, end as u32);
                merge_cache.merged(piece.vocabulary, piece.text, range).is_whole(inside)
            };
            if is_whole {
                ends.push(end as u32);
            } else {
                ends.extend((at + 1..=end.min(bytes.len())).map(|end| end as u32));
            }
            at = end;
        }
    }

    fn merge_in_parts(&mut self, piece: Piece<'_>, mut settle: impl FnMut(&[u32])) -> Option<()> {
        let mut parts = self.begin_parts(piece);
        while self.go_on(piece, &mut parts, &mut settle)? {}
        Some(())
    }

    /// Where the tokens end of the part of `piece` that begins at `from` and has so many `bytes`.
    fn part(&mut self, piece: Piece<'_>, from: u32, bytes: usize) -> Vec<u32> {
        self.merge_at_once(Piece {
            start: piece.start + from as usize,
            length: bytes.min(piece.length - from as usize),
            ..piece
        });
        self.ends.iter().map(|end| from + end).collect()
    }

    /// Merges the symbols that end at `ends` by a queue of possible merges: n log n steps for n bytes.
    fn merge_by_queue(&mut self, piece: Piece<'_>) {
        let Self {
            queue,
            symbols,
            ends,
            merge_cache,
            ..
        } = self;
        let mut possible = |start, end| {
            let merged = merge_cache.merged(piece.vocabulary, piece.text, piece.range(start, end));
            merged.rank().map(|rank| Reverse(Merge { rank, start, end }.number()))
        };
        symbols.clear();
        symbols.resize(piece.length, Symbol { before: 0, end: MERGED });
        queue.clear();
        let (mut before, mut start) = (0, 0);
        for end in &*ends {
            symbols[start as usize] = Symbol { before, end: *end };
            if start > 0 {
                queue.extend(possible(before, *end));
            }
            (before, start) = (start, *end);
        }
        while let Some(Reverse(number)) = queue.pop() {
            let Merge { start, end, .. } = Merge::from_number(number);
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

impl Merge {
    /// 21 bits of the rank, 32 of the start, and 10 of the token's length less one.
    fn number(self) -> u64 {
        u64::from(self.rank) << 42 | u64::from(self.start) << 10 | u64::from(self.end - self.start - 1)
    }

    fn from_number(number: u64) -> Self {
        let start = (number >> 10) as u32;
        Self {
            rank: (number >> 42) as u32,
            start,
            end: start + (number as u32 & 0x3ff) + 1,
        }
    }
}

const _: () = assert!(MAX_TOKEN_BYTES <= 1 << 10 && MAX_ID < 1 << 21);

impl Piece<'_> {
    /// The id of the token that these of its bytes are.
    pub fn id(self, start: u32, end: u32) -> u32 {
        let slot = self.vocabulary.find(self.text, self.range(start, end));
        slot.map_or(0, |slot| self.vocabulary.id(slot))
    }

    fn bytes(&self) -> &[u8] {
        let bytes = self.text.get(self.start..self.start + self.length);
        bytes.unwrap_or_default()
    }

    /// Where these of its bytes stand in the text.
    pub fn range(self, start: u32, end: u32) -> Range<usize> {
        self.start + start as usize..self.start + end as usize
    }
}

/// How many bytes a character has that begins with this one; 1 for what begins none.
fn character_bytes(first: u8) -> usize {
    match first {
        0..=0xbf => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
    }
}

/// Marks bytes that have become part of what is before them.
const MERGED: u32 = 0;
/// How many bytes a part of a long piece has. The longest tokens in use have 128.
const PART_BYTES: Range<usize> = 128..8192;
/// How many tokens are tried for the next part to begin with.
const ANCHORS: usize = 16;
