//! One text through one table.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use super::added::AddedTokens;
use super::merge::Merger;
use super::sink::Sink;
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
    merger: Merger,
}

impl Memory {
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
            sink.token(|| found.id);
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
        let (vocabulary, bytes) = (&self.vocabulary, text.as_bytes());
        let Memory { scratch, merger } = memory;
        for span in self.splitter.split(text, scratch) {
            match vocabulary.find(bytes, span.range()) {
                Some(slot) => sink.token(|| vocabulary.id(slot)),
                None => merger.merge(vocabulary, bytes, span.range(), sink),
            }
        }
    }
}

fn normalized(text: &str, normalizer: Normalizer) -> Cow<'_, str> {
    match normalizer {
        Normalizer::None => Cow::Borrowed(text),
        Normalizer::Nfc if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes => Cow::Borrowed(text),
        Normalizer::Nfc => Cow::Owned(text.nfc().collect()),
    }
}
