//! The tag of a language, as BCP 47 has it: `de`, `pt-BR`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A language's tag in lower case: two or three letters, and maybe subtags of up to eight letters or digits each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LanguageTag(String);

/// What is no tag of a language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the tag of a language")]
pub struct TagError;

impl LanguageTag {
    /// Most characters.
    pub const MAX: usize = 35;

    /// Whether whoever reads `wanted` can read this: the tag is the same, or begins it, as `pt` does `pt-br`.
    pub fn serves(&self, wanted: &Self) -> bool {
        let rest = wanted.0.strip_prefix(self.0.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

impl FromStr for LanguageTag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let mut subtags = text.split('-');
        let primary = subtags.next().unwrap_or_default();
        let is_primary = matches!(primary.len(), 2..=3) && primary.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_subtag =
            |subtag: &str| matches!(subtag.len(), 1..=8) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if text.len() <= Self::MAX && is_primary && subtags.all(is_subtag) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(TagError)
        }
    }
}

impl fmt::Display for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> LanguageTag {
        text.parse().expect(text)
    }

    #[test]
    fn a_tag_serves_what_it_begins_and_nothing_wider() {
        for (has, wanted, serves) in [
            ("de", "de", true),
            ("de", "DE-ch", true),
            ("pt-br", "pt", false),
            ("pt-BR", "pt-br", true),
            ("en", "enm", false),
        ] {
            assert_eq!(tag(has).serves(&tag(wanted)), serves, "{has} {wanted}");
        }
        for text in [
            "",
            "*",
            "d",
            "deutsch",
            "de-",
            "de_AT",
            "12",
            "de-ab cd",
            "de-waytoolongsub",
        ] {
            assert_eq!(text.parse::<LanguageTag>(), Err(TagError), "{text}");
        }
    }
}
