//! What is wanted of tokens: how many there are, or which.

use bitcannon::Span;

use super::merge::{Merger, Parts, Piece};
use super::piece_counts::{Key, PieceCounts};
use crate::tokens::table::Vocabulary;

/// Takes what a text comes to, in order.
pub(crate) trait Sink {
    /// An added token.
    fn added(&mut self, id: u32);

    /// Pieces of plain text.
    fn pieces(&mut self, pieces: Pieces<'_>, workshop: &mut Workshop);

    /// A part of a long piece, of which `parts` says how far it is taken. Gives whether there is more of it.
    fn part(&mut self, piece: Piece<'_>, parts: &mut Option<Parts>, workshop: &mut Workshop) -> bool;
}

/// Pieces of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces<'a> {
    pub vocabulary: &'a Vocabulary<'a>,
    pub text: &'a [u8],
    pub spans: &'a [Span],
}

/// What makes tokens of pieces, and what it remembers of those before.
#[derive(Debug, Default)]
pub(crate) struct Workshop {
    merger: Merger,
    piece_counts: PieceCounts,
}

impl Workshop {
    /// Remembers pieces and merges from here on.
    pub fn make_room(&mut self) {
        self.merger.make_room();
        self.piece_counts.make_room();
    }
}

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct Counter(pub u64);

/// Tells their ids.
#[derive(Debug)]
pub(crate) struct Ids<F>(pub F);

impl Sink for Counter {
    fn added(&mut self, _: u32) {
        self.0 += 1;
    }

    fn pieces(&mut self, pieces: Pieces<'_>, workshop: &mut Workshop) {
        for spans in pieces.spans.chunks(GROUP) {
            let mut unknown = [(Span::default(), None); GROUP];
            let mut count = 0;
            for span in spans {
                let key = Key::new(pieces.text, span.start as usize, (span.end - span.start) as usize);
                if let Some(tokens) = key.and_then(|key| workshop.piece_counts.get(key)) {
                    self.0 += tokens;
                } else {
                    unknown[count] = (*span, key);
                    count += 1;
                }
            }
            let unknown = &unknown[..count];
            // What is asked for at once comes from memory at once, instead of one piece waiting for the one before.
            let near = unknown
                .iter()
                .map(|(span, _)| pieces.vocabulary.touch(pieces.text, span.range()));
            std::hint::black_box(near.fold(0, |all, byte| all ^ byte));
            for (span, key) in unknown {
                self.0 += workshop.count(pieces.piece(*span), *key);
            }
        }
    }

    fn part(&mut self, piece: Piece<'_>, parts: &mut Option<Parts>, workshop: &mut Workshop) -> bool {
        let Workshop { merger, .. } = workshop;
        let parts = parts.get_or_insert_with(|| merger.begin_parts(piece));
        self.count_part(piece, parts, merger)
    }
}

impl Counter {
    fn count_part(&mut self, piece: Piece<'_>, parts: &mut Parts, merger: &mut Merger) -> bool {
        let before = parts.settled();
        let is_more = merger.go_on(piece, parts, |_| {});
        self.0 += parts.settled() - before;
        is_more.unwrap_or_else(|| {
            self.0 -= parts.settled();
            self.0 += merger.count_at_once(piece);
            false
        })
    }
}

impl<F: FnMut(u32)> Sink for Ids<F> {
    fn added(&mut self, id: u32) {
        (self.0)(id);
    }

    /// All of it: tokens are told when they are certain.
    fn part(&mut self, piece: Piece<'_>, _: &mut Option<Parts>, workshop: &mut Workshop) -> bool {
        let mut start = 0;
        for end in workshop.merger.ends(piece) {
            (self.0)(piece.id(start, *end));
            start = *end;
        }
        false
    }

    fn pieces(&mut self, pieces: Pieces<'_>, workshop: &mut Workshop) {
        for span in pieces.spans {
            if let Some(slot) = pieces.vocabulary.find(pieces.text, span.range()) {
                (self.0)(pieces.vocabulary.id(slot));
                continue;
            }
            let piece = pieces.piece(*span);
            let mut start = 0;
            for end in workshop.merger.ends(piece) {
                (self.0)(piece.id(start, *end));
                start = *end;
            }
        }
    }
}

impl<'a> Pieces<'a> {
    fn piece(self, span: Span) -> Piece<'a> {
        Piece {
            vocabulary: self.vocabulary,
            text: self.text,
            start: span.start as usize,
            length: (span.end - span.start) as usize,
        }
    }
}

impl Workshop {
    /// How many tokens a piece is that is not remembered.
    #[inline(never)]
    fn count(&mut self, piece: Piece<'_>, key: Option<Key>) -> u64 {
        let is_token = piece.vocabulary.find(piece.text, piece.range(0, piece.length as u32));
        let count = if is_token.is_some() {
            1
        } else {
            self.merger.count(piece)
        };
        if let Some(key) = key {
            self.piece_counts.put(key, count);
        }
        count
    }
}

/// How many pieces are looked for together.
const GROUP: usize = 16;
