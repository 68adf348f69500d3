//! Chunks of one stream that are alike but for a text. Most are, and what was found in one of them holds for the next:
//! only the text needs a look. Nothing is guessed, for all other bytes are compared.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::answer::{Answer, Usage};
use super::json::Edits;
use super::said::{LoneText, Said, Strand};

/// A chunk that was read and edited, without its text.
#[derive(Clone, Debug)]
pub(super) struct Alike {
    came: Around,
    /// As the client sees it; `None` where nothing is edited.
    edited: Option<Around>,
    usage: Option<Usage>,
    /// What the text belongs to.
    strand: Strand,
}

/// What stands before and behind the text.
#[derive(Clone, Debug)]
struct Around {
    before: String,
    behind: String,
}

impl Alike {
    /// The chunk that `edits` are for and that carried `usage`. Its `text` is all that it says, and no edit touches it.
    pub fn new(edits: &Edits<'_>, text: LoneText<'_>, usage: Option<Usage>) -> Self {
        let LoneText { strand, json: text } = text;
        let (before, behind) = edits.unedited_around(text);
        let came = Around {
            before: before.to_owned(),
            behind: behind.to_owned(),
        };
        let edited = (!edits.is_empty()).then(|| {
            let (before, behind) = edits.edited_around(text);
            Around { before, behind }
        });
        Self {
            came,
            edited,
            usage,
            strand,
        }
    }

    /// What reading and editing `chunk` gives, if it is alike.
    pub fn edit<'a>(&self, chunk: &'a str) -> Option<Answer<'a>> {
        let Around { before, behind } = &self.came;
        let text = chunk.strip_prefix(before)?.strip_suffix(behind)?;
        if !text.starts_with('"') || serde_json::from_str::<IgnoredAny>(text).is_err() {
            return None;
        }
        let json = match &self.edited {
            Some(Around { before, behind }) => Cow::Owned([before, text, behind].concat()),
            None => Cow::Borrowed(chunk),
        };
        Some(Answer {
            json: Some(json),
            usage: self.usage,
            said: vec![Said::Text(LoneText {
                strand: self.strand,
                json: text,
            })],
        })
    }
}
