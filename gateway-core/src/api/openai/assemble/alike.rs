//! Chunks of one stream that are alike but for a text, as most are. Together they say what one of them would say with all
//! their texts: they are kept as that one, and it is read when another kind of chunk comes.

use crate::api::json_cursor::JsonCursor;
use crate::api::json_fields::span_within;
use crate::api::openai::affixes::Affixes;

/// A chunk that was read, and the texts of those behind it that are like it.
#[derive(Debug)]
pub(super) struct Alike {
    around: Affixes,
    /// What stands between their quotes, one behind the other.
    texts: String,
}

impl Alike {
    /// Of a chunk whose one text is `text`, as a JSON string that was borrowed from it.
    pub fn new(chunk: &str, text: &str) -> Self {
        let span = span_within(chunk, text);
        Self {
            around: Affixes {
                before: chunk[..span.start].to_owned(),
                behind: chunk[span.end..].to_owned(),
            },
            texts: String::new(),
        }
    }

    /// Takes in the chunk, if it is alike; gives the length of its text in bytes.
    pub fn add(&mut self, chunk: &[u8]) -> Option<usize> {
        let text = std::str::from_utf8(self.around.strip(chunk)?).ok()?;
        let inner = text.strip_prefix('"')?.strip_suffix('"')?;
        let is_one_string = JsonCursor::new(text).pass().len() == text.len();
        is_one_string.then(|| {
            self.texts.push_str(inner);
            inner.len()
        })
    }

    /// How long the texts are that were taken in, in bytes.
    pub fn added(&self) -> usize {
        self.texts.len()
    }

    /// A chunk that says what all of them say; `None` where none came.
    pub fn into_chunk(self) -> Option<String> {
        let Self { around, texts } = self;
        let Affixes { before, behind } = around;
        (!texts.is_empty()).then(|| [&before, "\"", &texts, "\"", &behind].concat())
    }
}
