//! Splitting a window into pieces, by `bitcannon`, which does what the tokenizers' regular expressions do.

use bitcannon::Span;
use bitcannon::classify::classify;
use memchr::memmem;

use crate::tokens::table::Splitter;

/// The memory that splitting takes: about ten bytes for each byte of a window.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    tags: Vec<u8>,
    starts: Vec<u64>,
    flags: Vec<u64>,
    later: Vec<u64>,
    spans: Vec<Span>,
}

impl Scratch {
    /// Bytes of the largest window so far.
    pub fn window_bytes(&self) -> usize {
        self.tags.len()
    }

    /// The first so many of the pieces that were found last.
    pub fn pieces(&self, count: usize) -> &[Span] {
        &self.spans[..count]
    }

    fn grow(&mut self, bytes: usize) {
        if self.tags.len() < bytes {
            let words = bytes.div_ceil(64) + 1;
            self.tags.resize(bytes, 0);
            self.starts.resize(words, 0);
            self.flags.resize(words, 0);
            self.later.resize(2 * words, 0);
            self.spans.resize(bytes + 1, Span::default());
        }
    }
}

impl Splitter {
    /// The pieces of `text`, in order; together they are all of it.
    pub(super) fn split<'s>(self, text: &str, scratch: &'s mut Scratch) -> &'s [Span] {
        if self.folds_case() && memmem::find(text.as_bytes(), LONG_S.as_bytes()).is_some() {
            let replaced = text.replace(LONG_S, SHORT_S);
            let pieces = self.run(replaced.as_bytes(), scratch);
            let pieces = &mut scratch.spans[..pieces];
            widen(pieces, text);
            return pieces;
        }
        let pieces = self.run(text.as_bytes(), scratch);
        &scratch.spans[..pieces]
    }

    /// Whether contractions such as `'s` are split off in any case.
    fn folds_case(self) -> bool {
        match self {
            Self::Cl100k | Self::Qwen | Self::O200k => true,
            Self::Gpt2 | Self::Tekken | Self::DeepSeek => false,
        }
    }

    fn run(self, bytes: &[u8], scratch: &mut Scratch) -> usize {
        scratch.grow(bytes.len());
        let Scratch {
            tags,
            starts,
            flags,
            later,
            spans,
        } = scratch;
        let tags = &mut tags[..bytes.len()];
        classify(bytes, tags);
        match self {
            Self::Gpt2 => bitcannon::bitcannon_byte_level(bytes, tags, starts, flags, spans),
            Self::Cl100k => bitcannon::bitcannon_cl100k(bytes, tags, starts, flags, spans),
            Self::Qwen => bitcannon::bitcannon_qwen(bytes, tags, starts, flags, spans),
            Self::O200k => bitcannon::bitcannon_o200k(bytes, tags, starts, flags, later, spans),
            Self::Tekken => bitcannon::bitcannon_tekken(bytes, tags, starts, flags, later, spans),
            Self::DeepSeek => bitcannon::bitcannon_deepseek(bytes, tags, starts, spans),
        }
    }
}

/// Turns pieces of a text in which each [`LONG_S`] was replaced by a [`SHORT_S`], a byte shorter, into pieces of
/// `text`.
fn widen(pieces: &mut [Span], text: &str) {
    let mut long = memmem::find_iter(text.as_bytes(), LONG_S.as_bytes())
        .enumerate()
        .peekable();
    let mut added = 0;
    let mut wide = |at: u32| {
        // The letter of the one found n-th stands n bytes sooner in the replaced text, behind its apostrophe.
        while long.next_if(|(nth, found)| found + 1 - nth < at as usize).is_some() {
            added += 1;
        }
        at + added
    };
    for piece in pieces {
        *piece = Span::new(wide(piece.start), wide(piece.end));
    }
}

/// A contraction with a long s (U+017F), for which regular expressions without regard to case take it, and engines
/// split by those. `bitcannon` does not, and is shown the short one, which is a lower-case letter as well.
const LONG_S: &str = "'\u{17f}";
const SHORT_S: &str = "'s";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_s_makes_contractions_where_case_does_not_matter() {
        for (splitter, text, expected) in [
            (
                Splitter::Qwen,
                "it'ſabc 'ſ ſ",
                &["it", "'ſ", "abc", " '", "ſ", " ſ"][..],
            ),
            (Splitter::O200k, "it'ſabc we'ſ", &["it'ſ", "abc", " we'ſ"]),
            (Splitter::Gpt2, "it'ſabc", &["it", "'", "ſabc"]),
        ] {
            let mut scratch = Scratch::default();
            let pieces: Vec<_> = splitter
                .split(text, &mut scratch)
                .iter()
                .map(|span| &text[span.range()])
                .collect();
            assert_eq!(pieces, expected, "{splitter:?}");
        }
    }
}
