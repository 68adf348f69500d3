//! One text through one table.

use std::borrow::Cow;

use super::added::AddedTokens;
use super::normalize::nfc;
use super::pieces::each_pieces;
use super::sink::{Pieces, Sink, Workshop};
use super::split::Scratch;
use super::windows::{WINDOW_BYTES, window};
use crate::tokens::table::{Normalizer, Splitter, Vocabulary};

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

impl Encoder<'_> {
    /// Tells the tokens of `text`.
    pub fn encode<S: Sink>(&self, text: &str, memory: &mut Memory, sink: &mut S) {
        self.pass(self.passes, text, memory, sink);
    }

    fn pass<S: Sink>(&self, passes: &[AddedTokens], text: &str, memory: &mut Memory, sink: &mut S) {
        let Some((pass, later)) = passes.split_first() else {
            return self.plain(text, memory, sink);
        };
        let mut from = 0;
        while let Some(found) = pass.find(text, from) {
            self.pass(later, &text[from..found.start], memory, sink);
            sink.added(found.id);
            from = found.end;
        }
        self.pass(later, &text[from..], memory, sink);
    }

    /// Text without added tokens.
    fn plain<S: Sink>(&self, text: &str, memory: &mut Memory, sink: &mut S) {
        let mut rest = text;
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(window(rest));
            self.pieces(&normalized(head, self.normalizer), memory, sink);
            rest = tail;
        }
    }

    fn pieces<S: Sink>(&self, text: &str, memory: &mut Memory, sink: &mut S) {
        let Memory { scratch, workshop } = memory;
        each_pieces(self.splitter, text, WINDOW_BYTES, scratch, |text, spans| {
            let pieces = Pieces {
                vocabulary: &self.vocabulary,
                text: text.as_bytes(),
                spans,
            };
            sink.pieces(pieces, workshop);
        });
    }
}

fn normalized(text: &str, normalizer: Normalizer) -> Cow<'_, str> {
    match normalizer {
        Normalizer::None => Cow::Borrowed(text),
        Normalizer::Nfc => nfc(text),
    }
}
