//! What is wrong with a text, and where. Places are kept here as small numbers; their keys are spelt out only for
//! messages.

use super::error::{ConfigError, ConfigErrors, Problem};

/// Where something is written: a key, an entry of a list, or the text as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

impl Place {
    /// The whole text.
    pub const TEXT: Self = Self(0);
}

/// A value and where it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<T> {
    pub place: Place,
    pub value: T,
}

impl<T> At<T> {
    /// Something else that is written there.
    pub fn with<U>(&self, value: U) -> At<U> {
        let place = self.place;
        At { place, value }
    }
}

/// What is found wrong while reading and checking one text.
pub(super) struct Report {
    /// What the text is called.
    document: &'static str,
    /// Offsets at which lines begin.
    lines: Vec<usize>,
    spots: Vec<Spot>,
    errors: ConfigErrors,
}

/// A place: what leads to it from another one, and its line.
struct Spot {
    within: Place,
    step: Step,
    line: usize,
}

enum Step {
    Text,
    Key(&'static str),
    AbsentKey(&'static str),
    Entry(usize),
}

impl Report {
    /// The empty report on a configuration's text.
    pub fn new(text: &str) -> Self {
        Self::of_document("gateway.toml", text)
    }

    /// The empty report on a text of that name.
    pub fn of_document(document: &'static str, text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let whole_text = Spot {
            within: Place::TEXT,
            step: Step::Text,
            line: 1,
        };
        Self {
            document,
            lines: newlines.map(|(offset, _)| offset).collect(),
            spots: vec![whole_text],
            errors: ConfigErrors::default(),
        }
    }

    /// The place of a key that is written at an offset.
    #[inline(never)]
    pub fn key(&mut self, within: Place, key: &'static str, offset: usize) -> Place {
        self.spot(within, Step::Key(key), self.line_at(offset))
    }

    /// The place where a key of a table would be.
    #[inline(never)]
    pub fn absent_key(&mut self, within: Place, key: &'static str) -> Place {
        self.spot(within, Step::AbsentKey(key), self.line(within))
    }

    /// The place of a list's entry that is written at an offset.
    #[inline(never)]
    pub fn entry(&mut self, within: Place, index: usize, offset: usize) -> Place {
        self.spot(within, Step::Entry(index), self.line_at(offset))
    }

    fn spot(&mut self, within: Place, step: Step, line: usize) -> Place {
        self.spots.push(Spot { within, step, line });
        Place(self.spots.len() - 1)
    }

    /// The line of a place, counted from 1.
    pub fn line(&self, place: Place) -> usize {
        self.spots[place.0].line
    }

    /// The line of what is written; `None` for a key that is not.
    pub fn written_line(&self, place: Place) -> Option<usize> {
        match self.spots[place.0].step {
            Step::Text | Step::Key(_) | Step::Entry(_) => Some(self.line(place)),
            Step::AbsentKey(_) => None,
        }
    }

    fn line_at(&self, offset: usize) -> usize {
        1 + self.lines.partition_point(|newline| *newline < offset)
    }

    /// The key of a place, such as `clusters[1].region`.
    fn spell(&self, place: Place) -> String {
        let Spot { within, step, .. } = &self.spots[place.0];
        match step {
            Step::Text => String::new(),
            Step::Key(key) | Step::AbsentKey(key) => self.spell_key(*within, key),
            Step::Entry(index) => format!("{}[{index}]", self.spell(*within)),
        }
    }

    fn spell_key(&self, within: Place, key: &str) -> String {
        let within = self.spell(within);
        let dot = if within.is_empty() { "" } else { "." };
        let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if is_bare {
            format!("{within}{dot}{key}")
        } else {
            format!("{within}{dot}{key:?}")
        }
    }

    /// Adds an error.
    #[inline(never)]
    pub fn add(&mut self, place: Place, problem: Problem, expected: impl Into<String>) {
        self.errors.add(ConfigError {
            document: self.document,
            key: self.spell(place),
            line: self.line(place),
            problem,
            expected: expected.into(),
        });
    }

    /// Adds that there is no such key as the one written at an offset.
    pub fn unknown_key(&mut self, within: Place, key: &str, offset: usize, expected: String) {
        self.errors.add(ConfigError {
            document: self.document,
            key: self.spell_key(within, key),
            line: self.line_at(offset),
            problem: Problem::UnknownKey,
            expected,
        });
    }

    /// Adds an error of TOML's own.
    pub fn syntax(&mut self, error: &toml::de::Error) {
        let message = error.message();
        let (problem, expected) = message.split_once(", expected ").unwrap_or((message, "valid TOML"));
        self.errors.add(ConfigError {
            document: self.document,
            key: "(syntax)".to_owned(),
            line: self.line_at(error.span().map_or(0, |span| span.start)),
            problem: Problem::Syntax(problem.to_owned()),
            expected: format!("expected {expected}"),
        });
    }

    /// Adds that the document is no text from that byte on.
    pub fn not_utf8(&mut self, at: usize) {
        self.errors.add(ConfigError {
            document: self.document,
            key: "(text)".to_owned(),
            line: self.line_at(at),
            problem: Problem::Syntax("not UTF-8".to_owned()),
            expected: "expected UTF-8".to_owned(),
        });
    }

    /// Adds that the text is too long to be read.
    pub fn too_long(&mut self, bytes: usize, most: usize) {
        self.errors.add(ConfigError {
            document: self.document,
            key: "(text)".to_owned(),
            line: 1,
            problem: Problem::TooLong { bytes },
            expected: format!("expected at most {most}"),
        });
    }

    /// What was made of the text, if nothing was wrong with it.
    pub fn finish<T>(self, sound: Option<T>) -> Result<T, ConfigErrors> {
        match sound {
            Some(sound) if self.errors.as_slice().is_empty() => Ok(sound),
            Some(_) | None => Err(self.errors),
        }
    }
}
