//! What is wrong with a text, and where: places are keys and lines.

use super::error::{ConfigError, ConfigErrors, Problem};

/// Where something is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The key, such as `clusters[1].region`.
    pub key: String,
    /// Its line, counted from 1.
    pub line: usize,
}

impl Place {
    /// The place of a key of the table that is here.
    pub fn key(&self, name: &str, line: usize) -> Self {
        let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let name = if is_bare { name.to_owned() } else { format!("{name:?}") };
        let key = if self.key.is_empty() {
            name
        } else {
            format!("{}.{name}", self.key)
        };
        Self { key, line }
    }
}

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub place: Place,
    pub value: T,
}

impl<T> At<T> {
    /// Something else that is written there.
    pub fn with<U>(&self, value: U) -> At<U> {
        At {
            place: self.place.clone(),
            value,
        }
    }
}

/// What is found wrong while reading and checking one text.
pub(super) struct Report {
    /// Offsets at which lines begin.
    lines: Vec<usize>,
    errors: Vec<ConfigError>,
}

impl Report {
    /// The empty report on a text.
    pub fn new(text: &str) -> Self {
        let after_newline = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(offset, _)| offset + 1);
        Self {
            lines: std::iter::once(0).chain(after_newline).collect(),
            errors: Vec::new(),
        }
    }

    /// The line of a byte, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    /// Adds an error.
    pub fn add(&mut self, place: &Place, problem: Problem, expected: impl Into<String>) {
        self.errors.push(ConfigError {
            key: place.key.clone(),
            line: place.line,
            problem,
            expected: expected.into(),
        });
    }

    /// Adds an error of TOML's own.
    pub fn syntax(&mut self, error: &toml::de::Error) {
        let offset = error.span().map_or(0, |span| span.start);
        let (problem, expected) = error
            .message()
            .split_once(", expected ")
            .unwrap_or((error.message(), "valid TOML"));
        let place = Place {
            key: "(syntax)".to_owned(),
            line: self.line(offset),
        };
        self.add(
            &place,
            Problem::Syntax(problem.to_owned()),
            format!("expected {expected}"),
        );
    }

    /// Adds that the text is too long to be read.
    pub fn too_long(&mut self, bytes: usize, max: usize) {
        let place = Place {
            key: "(text)".to_owned(),
            line: 1,
        };
        self.add(&place, Problem::TooLong { bytes }, format!("expected at most {max}"));
    }

    /// What was made of the text, if nothing was wrong with it.
    pub fn finish<T>(self, sound: Option<T>) -> Result<T, ConfigErrors> {
        match sound {
            Some(sound) if self.errors.is_empty() => Ok(sound),
            Some(_) | None => Err(ConfigErrors::new(self.errors)),
        }
    }
}
