//! Splitting a window into pieces, by `bitcannon`, which does what the tokenizers' regular expressions do.

use bitcannon::Span;
use bitcannon::classify::classify;

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
        let bytes = text.as_bytes();
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
        let pieces = match self {
            Self::Gpt2 => bitcannon::bitcannon_byte_level(bytes, tags, starts, flags, spans),
            Self::Cl100k => bitcannon::bitcannon_cl100k(bytes, tags, starts, flags, spans),
            Self::Qwen => bitcannon::bitcannon_qwen(bytes, tags, starts, flags, spans),
            Self::O200k => bitcannon::bitcannon_o200k(bytes, tags, starts, flags, later, spans),
            Self::Tekken => bitcannon::bitcannon_tekken(bytes, tags, starts, flags, later, spans),
            Self::DeepSeek => bitcannon::bitcannon_deepseek(bytes, tags, starts, spans),
        };
        &spans[..pieces]
    }
}
