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
use super::encode::{AddedTokens, Counter, Encoder, Ids, Memory, Sink};
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
        let mut counter = Counter::default();
        self.encode_into(text, &mut counter);
        Tokens(counter.0)
    }

    /// Tells `each` token of `text` by its id, in order, without special tokens around it.
    pub fn encode(&self, text: &str, each: impl FnMut(u32)) {
        self.encode_into(text, &mut Ids(each));
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

    fn encode_into<S: Sink>(&self, text: &str, sink: &mut S) {
        let opened = &*self.opened;
        let Some(vocabulary) = self.vocabulary() else { return };
        let kept = opened.memories().pop();
        let is_first = kept.is_none();
        let mut memory = kept.unwrap_or_default();
        if !is_first || text.len() > SHORT_TEXT_BYTES {
            memory.make_room();
        }
        let encoder = Encoder {
            vocabulary,
            normalizer: opened.details.normalizer,
            splitter: opened.details.splitter,
            passes: &opened.added,
        };
        encoder.encode(text, &mut memory, sink);
        let mut memories = opened.memories();
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
