//! Chunks of one stream that are alike but for a text. Most are, and what was found in one of them holds for the next:
//! only the text needs a look. Nothing is guessed, for all other bytes are compared.

use serde::de::IgnoredAny;

use super::affixes::Affixes;
use crate::api::answer::Usage;
use crate::api::json_edits::Edits;
use crate::api::output_delta::{OutputChannel, OutputDelta};
use crate::api::sse::event_of;

/// A chunk that was read and edited, without its text.
#[derive(Clone, Debug)]
pub(super) struct ChunkTemplate {
    came: Affixes,
    /// As the client sees it; without line ends.
    edited: Affixes,
    usage: Option<Usage>,
    /// What the text belongs to.
    channel: OutputChannel,
}

/// A chunk that is like the one before.
#[derive(Clone, Copy, Debug)]
pub struct TemplatedChunk<'p, 'c> {
    template: &'p ChunkTemplate,
    /// Its text, as a JSON string.
    text: &'c str,
}

impl ChunkTemplate {
    /// Of the chunk that `edits` are for and that carried `usage`. Its `text` is all that it says, and no edit touches it.
    /// `None` where the chunk has line ends, as it cannot go out as it stands then.
    pub fn new(edits: &Edits<'_>, text: OutputDelta<'_>, usage: Option<Usage>) -> Option<Self> {
        let OutputDelta {
            channel,
            json: text,
            call: _,
        } = text;
        let (before, behind) = edits.unedited_around(text);
        let came = Affixes {
            before: before.to_owned(),
            behind: behind.to_owned(),
        };
        let (before, behind) = edits.edited_around(text);
        let has_line_ends = [&before, &behind].iter().any(|part| part.contains(['\n', '\r']));
        (!has_line_ends).then_some(Self {
            came,
            edited: Affixes { before, behind },
            usage,
            channel,
        })
    }

    /// `chunk`, if it is alike.
    pub fn of<'p, 'c>(&'p self, chunk: &'c [u8]) -> Option<TemplatedChunk<'p, 'c>> {
        let text = std::str::from_utf8(self.came.strip(chunk)?).ok()?;
        let is_string = text.starts_with('"') && serde_json::from_str::<IgnoredAny>(text).is_ok();
        is_string.then_some(TemplatedChunk { template: self, text })
    }
}

impl<'c> TemplatedChunk<'_, 'c> {
    /// The usage that it carried.
    pub fn usage(&self) -> Option<Usage> {
        self.template.usage
    }

    /// What the model says in it.
    pub fn delta(&self) -> OutputDelta<'c> {
        OutputDelta {
            channel: self.template.channel,
            call: None,
            json: self.text,
        }
    }

    /// Writes it as an event, as the client is to see it.
    pub fn write_event(&self, out: &mut Vec<u8>) {
        let Affixes { before, behind } = &self.template.edited;
        event_of(&[before, self.text, behind], out);
    }
}
