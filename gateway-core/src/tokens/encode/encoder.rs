//! One text through one table.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use super::added::AddedTokens;
use super::merge::Merger;
use super::sink::Sink;
use super::split::Scratch;
use super::windows::{WINDOW_BYTES, window};
use crate::tokens::table::{Normalizer, Splitter, Vocabulary};

/// A table, and the memory that encoding takes.
#[derive(Debug)]
pub(in crate::tokens) struct Encoder<'a> {
    vocabulary: Vocabulary<'a>,
    normalizer: Normalizer,
    splitter: Splitter,
    passes: &'a [AddedTokens],
    scratch: Scratch,
    merger: Merger,
}

impl<'a> Encoder<'a> {
    /// An encoder for a text of `text_bytes`.
    pub fn new(
        vocabulary: Vocabulary<'a>,
        normalizer: Normalizer,
        splitter: Splitter,
        passes: &'a [AddedTokens],
        text_bytes: usize,
    ) -> Self {
        Self {
            vocabulary,
            normalizer,
            splitter,
            passes,
            scratch: Scratch::for_windows_of(text_bytes.min(WINDOW_BYTES)),
            merger: Merger::default(),
        }
    }

    /// Tells the tokens of `text`.
    pub fn encode<S: Sink>(&mut self, text: &str, sink: &mut S) {
        self.pass(self.passes, text, sink);
    }

    fn pass<S: Sink>(&mut self, passes: &[AddedTokens], text: &str, sink: &mut S) {
        let Some((pass, later)) = passes.split_first() else {
            return self.plain(text, sink);
        };
        let mut from = 0;
        while let Some(found) = pass.find(text, from) {
            self.pass(later, &text[from..found.start], sink);
            sink.token(|| found.id);
            from = found.end;
        }
        self.pass(later, &text[from..], sink);
    }

    /// Text without added tokens.
    fn plain<S: Sink>(&mut self, text: &str, sink: &mut S) {
        let mut rest = text;
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(window(rest));
            self.pieces(&normalized(head, self.normalizer), sink);
            rest = tail;
        }
    }

    fn pieces<S: Sink>(&mut self, text: &str, sink: &mut S) {
        let Self { vocabulary, .. } = self;
        for span in self.splitter.split(text, &mut self.scratch) {
            let piece = &text.as_bytes()[span.range()];
            match vocabulary.find(piece) {
                Some(slot) => sink.token(|| vocabulary.id(slot)),
                None => self.merger.merge(vocabulary, piece, sink),
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
