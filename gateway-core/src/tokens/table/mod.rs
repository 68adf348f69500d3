//! One tokenizer in one file, used where it lies: nothing is parsed or copied that grows with the vocabulary.
//!
//! `tidegate tokens compile` makes such files (`compile/`). A file that does not fit together is refused when it is
//! opened; what is read afterwards is read with its bounds checked, so that not even a forged one does more than
//! count wrongly.

mod error;
mod hash;
mod layout;
mod spelling;
mod vocabulary;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub use error::TableError;
#[cfg(feature = "compile")]
pub(crate) use hash::{bucket, hash, slot};
pub(crate) use hash::{cache_slot, two_words};
#[cfg(feature = "compile")]
pub(crate) use layout::assemble;
pub(crate) use layout::{AddedToken, Details, MAX_TOKEN_BYTES, Normalizer, Splitter};
#[cfg(feature = "compile")]
pub(crate) use spelling::character;
#[cfg(feature = "compile")]
pub(crate) use vocabulary::{GroupSize, INSIDE, UNMERGED, WHOLE};
pub(crate) use vocabulary::{MAX_ID, Merged, Vocabulary};

use self::vocabulary::{Extent, Group};
use super::encode::{AddedTokens, Counter, Encoder, Ids, Memory, Progress, Sink};
use super::template::ContentFormat;
use crate::ids::Tokens;

/// One tokenizer, opened. Clones share it.
#[derive(Clone, Debug)]
pub struct Table {
    opened: Arc<Opened>,
}

#[derive(Debug)]
struct Opened {
    file: Bytes,
    vocabulary_at: usize,
    extent: Extent,
    groups: Vec<Group>,
    added: Vec<AddedTokens>,
    details: Details,
    /// What encoding takes, kept from one text to the next.
    memories: Mutex<Vec<Memory>>,
}

/// The ids that a tokenizer puts around a plain prompt when it is asked to add special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapping<'a> {
    /// Before the prompt, such as the beginning of a text.
    pub before: &'a [u32],
    /// Behind it.
    pub after: &'a [u32],
}

impl Wrapping<'_> {
    /// How many they are.
    pub fn count(&self) -> Tokens {
        Tokens((self.before.len() + self.after.len()) as u64)
    }
}

/// A chat template as the tokenizer brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatSource<'a> {
    /// The template, in Jinja.
    pub template: &'a str,
    /// Variables that it may use, such as `bos_token`, with their texts.
    pub special_tokens: &'a [(String, String)],
    /// How it wants the content of messages.
    pub content: ContentFormat,
}

impl Table {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is no table, one of another format, or damaged.
    pub fn open(file: impl Into<Bytes>) -> Result<Self, TableError> {
        let file = file.into();
        layout::check(&file)?;
        Self::open_bundled(file)
    }

    /// Opens a file that has been opened before, when it was bundled, and is as it was: its checksum, for which all of it
    /// would be read, is not compared again.
    ///
    /// # Errors
    /// When it is no table, or one of another format; where it is damaged, perhaps.
    pub fn open_bundled(file: impl Into<Bytes>) -> Result<Self, TableError> {
        let file = file.into();
        let damaged = |what| TableError::Damaged { what };
        let parts = layout::parts(&file)?;
        let details: Details =
            postcard::from_bytes(parts.details).map_err(|_| damaged("its details cannot be read"))?;
        if details.groups.len() > MAX_TOKEN_BYTES + 1 {
            return Err(damaged("it has tokens longer than any table may have"));
        }
        let laid_out = Extent::of(&details.groups);
        let (extent, groups) = laid_out.ok_or_else(|| damaged("its vocabulary is larger than any file"))?;
        if parts.vocabulary_at.checked_add(extent.bytes().unwrap_or(usize::MAX)) != Some(file.len()) {
            return Err(damaged("its vocabulary has another length than its details say"));
        }
        let vocabulary_at = parts.vocabulary_at;
        let added = AddedTokens::passes(&details.added);
        Ok(Self {
            opened: Arc::new(Opened {
                vocabulary_at,
                extent,
                groups,
                added,
                details,
                file,
                memories: Mutex::default(),
            }),
        })
    }

    /// How many tokens `text` is, without special tokens around it. Special tokens inside of it count as such.
    pub fn count(&self, text: &str) -> Tokens {
        let mut counting = self.counting(text);
        counting.go_on(usize::MAX);
        counting.tokens()
    }

    /// How many tokens `text` is, found out bit by bit.
    pub(crate) fn counting<'a>(&'a self, text: &'a str) -> Encoding<'a, Counter> {
        Encoding::new(self, text, Counter::default())
    }

    /// Tells `each` token of `text` by its id, in order, without special tokens around it.
    pub fn encode(&self, text: &str, each: impl FnMut(u32)) {
        self.encoding(text, each).go_on(usize::MAX);
    }

    /// The same bit by bit.
    pub(crate) fn encoding<'a, F: FnMut(u32)>(&'a self, text: &'a str, each: F) -> Encoding<'a, Ids<F>> {
        Encoding::new(self, text, Ids(each))
    }

    /// What stands around a plain prompt.
    pub fn wrapping(&self) -> Wrapping<'_> {
        let details = &self.opened.details;
        Wrapping {
            before: &details.before,
            after: &details.after,
        }
    }

    /// How a chat becomes a prompt, where the tokenizer says it.
    pub fn chat(&self) -> Option<ChatSource<'_>> {
        let details = &self.opened.details;
        details.chat_template.as_deref().map(|template| ChatSource {
            template,
            special_tokens: &details.special_tokens,
            content: details.content,
        })
    }

    /// The vocabulary, where it lies. Its parts' lengths were compared when the table was opened.
    fn vocabulary(&self) -> Option<Vocabulary<'_>> {
        let bytes = self.opened.file.get(self.opened.vocabulary_at..)?;
        Vocabulary::split(bytes, self.opened.extent, &self.opened.groups)
    }

    fn encoder(&self) -> Option<Encoder<'_>> {
        let opened = &*self.opened;
        Some(Encoder {
            vocabulary: self.vocabulary()?,
            normalizer: opened.details.normalizer,
            splitter: opened.details.splitter,
            passes: &opened.added,
        })
    }
}

/// A text that is being encoded, or only counted. It may be left where it stands.
#[derive(Debug)]
pub(crate) struct Encoding<'a, S> {
    table: &'a Table,
    progress: Progress<'a>,
    memory: Memory,
    sink: S,
}

impl<'a, S: Sink> Encoding<'a, S> {
    fn new(table: &'a Table, text: &'a str, sink: S) -> Self {
        let kept = table.opened.memories().pop();
        let is_first = kept.is_none();
        let mut memory = kept.unwrap_or_default();
        if !is_first || text.len() > SHORT_TEXT_BYTES {
            memory.make_room();
        }
        Self {
            table,
            progress: Progress::new(text),
            memory,
            sink,
        }
    }

    /// Goes on for about so many bytes, some kilobytes more. Gives whether there is more.
    pub fn go_on(&mut self, bytes: usize) -> bool {
        let Some(encoder) = self.table.encoder() else {
            return false;
        };
        let mut done = 0;
        while done < bytes {
            match encoder.step(&mut self.progress, &mut self.memory, &mut self.sink) {
                Some(bytes) => done += bytes,
                None => return false,
            }
        }
        true
    }
}

impl Encoding<'_, Counter> {
    /// How many tokens there are up to here.
    pub fn tokens(&self) -> Tokens {
        Tokens(self.sink.0)
    }
}

impl<S> Drop for Encoding<'_, S> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut memories = self.table.opened.memories();
        if memory.is_small() && memories.len() < KEPT_MEMORIES {
            memories.push(memory);
        }
    }
}

impl Opened {
    fn memories(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A first text of up to so many bytes is encoded without memory of its pieces.
const SHORT_TEXT_BYTES: usize = 8 << 10;
/// How many texts at once find memory ready: more than threads count at the same time. On Workers and Spin one does.
const KEPT_MEMORIES: usize = 8;

#[cfg(all(test, feature = "compile"))]
mod tests {
    use super::super::compile::toy;
    use super::*;

    #[test]
    fn a_text_that_is_encoded_bit_by_bit_is_encoded_as_at_once() {
        let table = toy::table();
        let run = "aabcabba".repeat(3_000);
        let texts = [
            "abba <|end|>baab, cab\n".repeat(500),
            [&run, "<|end|>", &run, " ", &run].concat(),
            "e\u{301}".repeat(8_000),
            "<|end|>".repeat(3),
            String::new(),
        ];
        for text in texts {
            let (mut at_once, mut bit_by_bit) = (Vec::new(), Vec::new());
            table.encode(&text, |id| at_once.push(id));
            let mut encoding = table.encoding(&text, |id| bit_by_bit.push(id));
            while encoding.go_on(1) {}
            drop(encoding);
            assert_eq!(bit_by_bit, at_once);
            let mut counting = table.counting(&text);
            let mut steps = 0;
            while counting.go_on(1) {
                steps += 1;
            }
            assert_eq!(counting.tokens(), Tokens(at_once.len() as u64));
            assert!(steps * 8_000 >= text.len(), "{steps} steps for {} bytes", text.len());
        }
    }

    #[test]
    fn a_long_run_says_early_that_it_is_long() {
        let table = toy::table();
        let run = "c".repeat(400_000);
        let mut counting = table.counting(&run);
        assert!(counting.go_on(4_096));
        assert!(
            (2_000..40_000).contains(&counting.tokens().0),
            "{:?}",
            counting.tokens()
        );
    }
}
