//! A text of the store that is in force here, and what was refused of it.

use bytes::Bytes;

/// The text in force, and what stands in the store beside it.
#[derive(Debug, Default)]
pub(super) struct StoredText {
    text: Bytes,
    /// What the store held when it was refused, so that it is refused, and told, only once.
    refused: Option<Bytes>,
    /// How many texts operators have put into the store through this process.
    published: u64,
}

impl StoredText {
    /// With that text in force.
    pub fn new(text: Bytes) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    /// The text in force.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// Whether the store holds one that was refused.
    pub fn is_refusing(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether what the store holds now was neither put in force nor refused when it was last looked at.
    pub fn is_news(&self, text: &Bytes) -> bool {
        match &self.refused {
            Some(refused) => refused != text,
            None => self.text != *text,
        }
    }

    /// It is in force now.
    pub fn on_applied(&mut self, text: Bytes) {
        (self.text, self.refused) = (text, None);
    }

    /// It is wrong: what was in force stays so.
    pub fn on_refused(&mut self, text: Bytes) {
        self.refused = Some(text);
    }

    /// An operator has put one into the store.
    pub fn on_published(&mut self) {
        self.published += 1;
    }

    /// How often that has happened: what was read of the store before the last time is out of date.
    pub fn published(&self) -> u64 {
        self.published
    }
}
