//! What can be wrong with a configuration, as an operator reads it: which key, in which line, what is wrong, and
//! what would be right. Values that may be secret (keys, tokens, URLs with a password) are never repeated.

use std::fmt;

use thiserror::Error;

use super::digest::DigestError;
use super::url::UrlError;
use crate::excerpt::Excerpt;

/// All that is wrong with one configuration, in the order of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    /// How many there are beyond these.
    omitted: usize,
}

impl ConfigErrors {
    /// Adds an error behind those of the same line, unless it is there already.
    pub(super) fn add(&mut self, error: ConfigError) {
        let index = self.errors.partition_point(|other| other.line <= error.line);
        if index > 0 && self.errors[index - 1] == error {
            return;
        }
        self.errors.insert(index, error);
        if self.errors.len() > MOST_ERRORS {
            self.errors.pop();
            self.omitted += 1;
        }
    }

    /// The errors, sorted by line; the first 1,000 if there are more.
    pub fn as_slice(&self) -> &[ConfigError] {
        &self.errors
    }
}

/// One error in each line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        if self.omitted == 0 {
            Ok(())
        } else {
            write!(f, "\nand {} more", self.omitted)
        }
    }
}

/// Nobody reads more, and the list must fit into an answer.
const MOST_ERRORS: usize = 1_000;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{document}:{line}: {}: {problem}; {expected}", Excerpt(key))]
pub struct ConfigError {
    /// What the text is called.
    pub document: &'static str,
    /// The key, such as `clusters[1].replicas[0]`; entries count from 0.
    pub key: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: Problem,
    /// What would be right.
    pub expected: String,
}

/// What is wrong with a key or its value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The text cannot be read as TOML.
    #[error("not TOML: {}", Excerpt(_0))]
    Syntax(String),
    /// The text is longer than any sensible configuration.
    #[error("{bytes} bytes are too much")]
    TooLong {
        /// The text's length.
        bytes: usize,
    },
    /// No such key exists here.
    #[error("no such key")]
    UnknownKey,
    /// A key that stands in another table now.
    #[error("this key has another place now")]
    Moved,
    /// A key that must be there is not.
    #[error("missing")]
    Missing,
    /// A value of another type.
    #[error("this is a TOML {found}")]
    WrongType {
        /// The value's type in TOML's words.
        found: &'static str,
    },
    /// A number beyond its bounds.
    #[error("{} is out of range", Excerpt(found))]
    OutOfRange {
        /// The number as written.
        found: String,
    },
    /// A list without entries.
    #[error("the list is empty")]
    Empty,
    /// A text that breaks the rules for its key.
    #[error("{found:?} does not fit")]
    Malformed {
        /// The text, or its beginning.
        found: String,
    },
    /// A text that is too long.
    #[error("{characters} characters are too many")]
    TooManyCharacters {
        /// Its length.
        characters: usize,
    },
    /// A text that must be a secret's name and is not; it may be the secret, so it is not repeated.
    #[error("this is not the name of a secret")]
    NotASecretName,
    /// A text that must be a digest and is not.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A text that cannot be a replica's URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Something that may be there once only.
    #[error("{what} `{}` is already in line {line}", Excerpt(name))]
    Duplicate {
        /// What there would be twice.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where it was first.
        line: usize,
    },
    /// A name that nothing has.
    #[error("there is no {what} `{}`", Excerpt(name))]
    UnknownName {
        /// What was looked for.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A table of tokens that the deployment does not carry.
    #[error("this deployment carries no table `{name}`")]
    NoTable {
        /// The name.
        name: String,
    },
    /// A name that means something else already.
    #[error("`{name}` has a meaning of its own")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// A tier that comes after a canned one, which always answers.
    #[error("nothing comes after a canned tier")]
    AfterCanned,
    /// A ladder whose tiers name the model that it is for.
    #[error("the ladder begins with `{model}` anyway")]
    OwnModel {
        /// The model.
        model: String,
    },
    /// A budget that limits nothing.
    #[error("the budget limits nothing")]
    NoLimit,
    /// A burst without the rate that it goes with.
    #[error("a burst without {key}")]
    NoRate {
        /// The rate's key.
        key: &'static str,
    },
    /// A rollout of a model that has no two versions.
    #[error("the clusters of `{model}` have no two versions")]
    NoVersions {
        /// The model.
        model: String,
    },
    /// Versions none of which has a weight.
    #[error("no version has a weight")]
    NoWeight,
    /// A step that does not lie beyond the one before.
    #[error("the step {step} comes after {before}")]
    NotAscending {
        /// In percent.
        step: u32,
        /// Likewise.
        before: u32,
    },
    /// A region hop that nobody could sign for.
    #[error("a region hop without keys: nothing that it is sent could be signed")]
    Unsigned,
    /// Two times, or sizes, of which one must be less than the other.
    #[error("{smaller} = {small} is not less than {larger} = {large}")]
    NotLess {
        /// The key that must be less.
        smaller: &'static str,
        /// Its value, written or by default, in milliseconds or bytes.
        small: u128,
        /// The other key.
        larger: &'static str,
        /// Its value, likewise.
        large: u128,
    },
}
