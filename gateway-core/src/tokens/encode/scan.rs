//! Merging few symbols: looks for the best merge anew each time, which takes less than keeping a queue.

use super::merge::Piece;
use super::merge_cache::MergeCache;

/// Merges symbols of one piece after another; it keeps its memory between them.
#[derive(Debug)]
pub(super) struct Scan {
    /// By symbol, what it merges to with the next one: rank, then its index, as one number; [`NEVER`] when it does not,
    /// or has become part of another.
    merges: [i32; MOST],
    /// By symbol, where it ends, counted from the piece's start.
    ends: [u32; MOST],
    /// By symbol, which one stands before it and behind it.
    neighbours: [[u8; 2]; MOST],
}

impl Scan {
    /// Merges the symbols of `piece` that end at `ends`, at most [`MOST`], and leaves there where tokens end.
    pub fn merge(&mut self, piece: Piece<'_>, merge_cache: &mut MergeCache, ends: &mut Vec<u32>) {
        let count = ends.len();
        if !(2..=MOST).contains(&count) {
            return;
        }
        let mut start = 0;
        for at in 0..count {
            self.ends[at] = ends[at];
            self.neighbours[at] = [(at as u8).wrapping_sub(1), at as u8 + 1];
            let end = ends.get(at + 1);
            self.merges[at] = end.map_or(NEVER, |end| merge(merge_cache, piece, at, start, *end));
            start = ends[at];
        }
        while let Some(best) = self.merges[..count].iter().copied().min().filter(|best| *best < NEVER) {
            self.join(best as usize % MOST, count, piece, merge_cache);
        }
        ends.clear();
        let mut at = 0;
        while at < count {
            ends.push(self.ends[at]);
            at = usize::from(self.neighbours[at][1]);
        }
    }

    /// Joins a symbol and the next one.
    fn join(&mut self, at: usize, count: usize, piece: Piece<'_>, merge_cache: &mut MergeCache) {
        let [before, next] = self.neighbours[at].map(usize::from);
        let behind = usize::from(self.neighbours[next][1]);
        self.ends[at] = self.ends[next];
        self.neighbours[at][1] = behind as u8;
        self.merges[next] = NEVER;
        let start = |of: usize, scan: &Self| {
            let [before, _] = scan.neighbours[of];
            scan.ends.get(usize::from(before)).copied().unwrap_or_default()
        };
        self.merges[at] = NEVER;
        if behind < count {
            self.neighbours[behind][0] = at as u8;
            self.merges[at] = merge(merge_cache, piece, at, start(at, self), self.ends[behind]);
        }
        if before < count {
            self.merges[before] = merge(merge_cache, piece, before, start(before, self), self.ends[at]);
        }
    }
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            merges: [NEVER; MOST],
            ends: [0; MOST],
            neighbours: [[0; 2]; MOST],
        }
    }
}

#[inline]
fn merge(merge_cache: &mut MergeCache, piece: Piece<'_>, at: usize, start: u32, end: u32) -> i32 {
    let merged = merge_cache.merged(piece.vocabulary, piece.text, piece.range(start, end));
    // A rank has 22 bits, an index 6.
    merged.rank().map_or(NEVER, |rank| (rank << 6 | at as u32) as i32)
}

/// The most symbols that are merged so.
pub(super) const MOST: usize = 64;
/// Behind every merge.
const NEVER: i32 = i32::MAX;
