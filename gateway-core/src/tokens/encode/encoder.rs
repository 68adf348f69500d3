//! One text through one table, part by part.

use std::borrow::Cow;

use bitcannon::Span;

use super::added::AddedTokens;
use super::cursor::{Cursor, Part};
use super::merge::{Parts, Piece};
use super::normalize::nfc;
use super::pieces::{First, first_pieces};
use super::sink::{Pieces, Sink, Workshop};
use super::split::Scratch;
use super::windows::WINDOW_BYTES;
use crate::tokens::table::{MAX_TOKEN_BYTES, Normalizer, Splitter, Vocabulary};

/// What of a table encoding takes.
#[derive(Debug)]
pub(in crate::tokens) struct Encoder<'a> {
    pub vocabulary: Vocabulary<'a>,
    pub normalizer: Normalizer,
    pub splitter: Splitter,
    pub passes: &'a [AddedTokens],
}

/// What encoding takes besides: less than 256 KiB, but for a text with a long run that has no safe cut.
#[derive(Debug, Default)]
pub(in crate::tokens) struct Memory {
    scratch: Scratch,
    workshop: Workshop,
}

impl Memory {
    /// Remembers pieces and merges from here on, in 160 KiB. What that takes is worth it for long texts, and for the texts
    /// after the first.
    pub fn make_room(&mut self) {
        self.workshop.make_room();
    }

    /// Whether it is worth keeping.
    pub fn is_small(&self) -> bool {
        self.scratch.window_bytes() <= WINDOW_BYTES
    }
}

/// How far a text is encoded.
#[derive(Debug)]
pub(in crate::tokens) struct Progress<'t> {
    text: &'t str,
    cursor: Cursor,
    /// The window that is being encoded, and the place in it; a small one is done in one step.
    window: Cow<'t, str>,
    at: usize,
    /// How long the piece there is, where it is longer than any token, and how far it is encoded.
    long: Option<usize>,
    parts: Option<Parts>,
}

impl<'t> Progress<'t> {
    /// Before the beginning of `text`.
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            cursor: Cursor::new(text.len()),
            window: Cow::Borrowed(""),
            at: 0,
            long: None,
            parts: None,
        }
    }
}

impl Encoder<'_> {
    /// Tells the next tokens: of some kilobytes at most. Gives of about how many bytes; `None` at the end.
    pub fn step<S: Sink>(&self, progress: &mut Progress<'_>, memory: &mut Memory, sink: &mut S) -> Option<usize> {
        if progress.at < progress.window.len() {
            return Some(self.pieces(progress, memory, sink));
        }
        match progress.cursor.next(self.passes, progress.text)? {
            Part::Added(id) => {
                sink.added(id);
                Some(1)
            }
            Part::Plain(range) => {
                progress.window = normalized(&progress.text[range], self.normalizer);
                progress.at = 0;
                Some(self.pieces(progress, memory, sink))
            }
        }
    }

    /// The next pieces of the window, or the next part of a long one. Gives how many bytes that is.
    fn pieces<S: Sink>(&self, progress: &mut Progress<'_>, memory: &mut Memory, sink: &mut S) -> usize {
        let Memory { scratch, workshop } = memory;
        let text = &progress.window[progress.at..];
        if progress.long.is_none() {
            let whole;
            let spans = match first_pieces(self.splitter, text, WINDOW_BYTES, scratch) {
                First::Some(spans) => spans,
                First::One(end) => {
                    whole = [Span::new(0, end as u32)];
                    progress.long = (end > MAX_TOKEN_BYTES).then_some(end);
                    &whole
                }
            };
            if progress.long.is_none() {
                let pieces = Pieces {
                    vocabulary: &self.vocabulary,
                    text: text.as_bytes(),
                    spans,
                };
                sink.pieces(pieces, workshop);
                let end = spans.last().map_or(text.len(), |last| last.end as usize);
                progress.at += end;
                return end;
            }
        }
        let length = progress.long.unwrap_or(text.len());
        let piece = Piece {
            vocabulary: &self.vocabulary,
            text: text.as_bytes(),
            start: 0,
            length,
        };
        let before = progress.parts.as_ref().map_or(0, Parts::bytes);
        if sink.part(piece, &mut progress.parts, workshop) {
            return progress.parts.as_ref().map_or(0, Parts::bytes).saturating_sub(before);
        }
        progress.at += length;
        (progress.long, progress.parts) = (None, None);
        length.saturating_sub(before)
    }
}

fn normalized(text: &str, normalizer: Normalizer) -> Cow<'_, str> {
    match normalizer {
        Normalizer::None => Cow::Borrowed(text),
        Normalizer::Nfc => nfc(text),
    }
}
