//! Names and other texts as `gateway.toml` holds them, with the rules that each follows.

use super::digest::KeyDigest;
use super::engine::EngineKind;
use super::error::Problem;
use super::read::{Kind, Node};
use super::report::Report;
use super::suggest::one_of;
use super::url::normalise;
use super::validated;

/// A text of certain characters.
pub(super) trait Pattern {
    /// What it is, for messages.
    const WHAT: &'static str;
    /// The characters that it may begin with, as between the brackets of a regular expression.
    const FIRST: &'static str;
    /// The characters that may follow.
    const REST: &'static str;
    /// Most characters.
    const MAX: usize;

    /// What is wrong with a text that is not so.
    fn problem(text: &str) -> Problem {
        Problem::Malformed { found: beginning(text) }
    }
}

/// As much of a wrong text as a message repeats.
pub(super) fn beginning(text: &str) -> String {
    text.chars().take(MOST_REPEATED).collect()
}

/// In characters.
const MOST_REPEATED: usize = 80;

impl<P: Pattern> Kind for P {
    type Value = String;

    fn expected() -> String {
        let (what, most) = (P::WHAT, P::MAX);
        format!(
            "{what} of at most {most} characters that matches [{}][{}]*",
            P::FIRST,
            P::REST
        )
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<String> {
        let fits = |text: &str| {
            let mut characters = text.chars();
            characters.next().is_some_and(|first| is_among(P::FIRST, first))
                && characters.all(|character| is_among(P::REST, character))
                && text.len() <= P::MAX
        };
        node.parse::<Self>(report, |text| {
            if fits(text) {
                Ok(text.to_owned())
            } else {
                Err(P::problem(text))
            }
        })
    }
}

/// Whether the class, such as `a-z0-9_-`, holds the character.
fn is_among(class: &str, character: char) -> bool {
    let mut rest = class.chars();
    while let Some(first) = rest.next() {
        let mut ahead = rest.clone();
        let last = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) => {
                rest = ahead;
                last
            }
            _ => first,
        };
        if (first..=last).contains(&character) {
            return true;
        }
    }
    false
}

/// A name that the operator gives.
pub(super) struct Name;

impl Pattern for Name {
    const WHAT: &'static str = "a name";
    const FIRST: &'static str = "A-Za-z0-9";
    const REST: &'static str = "A-Za-z0-9._-";
    const MAX: usize = 64;
}

/// A name that clients ask for a model by.
pub(super) struct ModelId;

impl Pattern for ModelId {
    const WHAT: &'static str = "a model's name";
    const FIRST: &'static str = "A-Za-z0-9";
    const REST: &'static str = "A-Za-z0-9._:/@+-";
    const MAX: usize = 128;
}

/// The name of a secret that the platform keeps.
pub(super) struct Secret;

impl Pattern for Secret {
    const WHAT: &'static str = "the name of a secret that the platform keeps, a text";
    const FIRST: &'static str = "A-Z";
    const REST: &'static str = "A-Z0-9_";
    const MAX: usize = 64;

    fn problem(_text: &str) -> Problem {
        Problem::NotASecretName
    }
}

/// A field of a request that steers engines.
pub(super) struct EngineField;

impl Pattern for EngineField {
    const WHAT: &'static str = "a field of a request that steers engines";
    const FIRST: &'static str = "a-z";
    const REST: &'static str = "a-z0-9_.";
    const MAX: usize = 64;
}

/// The name of a header, in lower case.
pub(super) struct Header;

impl Pattern for Header {
    const WHAT: &'static str = "the name of a header in lower case, a text";
    const FIRST: &'static str = "a-z0-9";
    const REST: &'static str = "a-z0-9_-";
    const MAX: usize = 64;
}

/// The path of a page.
pub(super) struct PagePath;

impl Pattern for PagePath {
    const WHAT: &'static str = "a path";
    const FIRST: &'static str = "/";
    const REST: &'static str = "A-Za-z0-9/._~?=&-";
    const MAX: usize = 128;
}

/// Any text that says something, of at most `MAX` characters.
pub(super) struct Text<const MAX: usize>;

impl<const MAX: usize> Kind for Text<MAX> {
    type Value = String;

    fn expected() -> String {
        format!("a text that is not blank, of at most {MAX} characters")
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<String> {
        node.parse::<Self>(report, |text| {
            if text.trim().is_empty() {
                return Err(Problem::Malformed { found: beginning(text) });
            }
            let characters = text.chars().count();
            if characters > MAX {
                Err(Problem::TooManyCharacters { characters })
            } else {
                Ok(text.to_owned())
            }
        })
    }
}

/// A replica's base URL, normalised.
pub(super) struct ReplicaUrl;

impl Kind for ReplicaUrl {
    type Value = String;

    fn expected() -> String {
        "a URL such as `http://10.0.0.7:8000`".to_owned()
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<String> {
        node.parse::<Self>(report, |text| normalise(text).map_err(Problem::from))
    }
}

/// An API key's digest.
pub(super) struct Digest;

impl Kind for Digest {
    type Value = KeyDigest;

    fn expected() -> String {
        "`sha256:` and 64 hexadecimal digits, as `tidegate keys new` prints them".to_owned()
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<KeyDigest> {
        node.parse::<Self>(report, |text| text.parse().map_err(Problem::Digest))
    }
}

/// An engine by name.
pub(super) struct Engine;

impl Kind for Engine {
    type Value = EngineKind;

    fn expected() -> String {
        one_of(EngineKind::ALL.iter().map(|engine| engine.as_str()))
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<EngineKind> {
        node.parse::<Self>(report, |text| {
            let engine = EngineKind::ALL.into_iter().find(|engine| engine.as_str() == text);
            engine.ok_or_else(|| Problem::UnknownName {
                what: "engine",
                name: text.to_owned(),
            })
        })
    }
}

/// A priority by name.
pub(super) struct Priority;

impl Kind for Priority {
    type Value = validated::Priority;

    fn expected() -> String {
        one_of(validated::Priority::ALL.iter().map(|priority| priority.as_str()))
    }

    fn read(node: Node<'_>, report: &mut Report) -> Option<validated::Priority> {
        node.parse::<Self>(report, |text| {
            let mut all = validated::Priority::ALL.into_iter();
            all.find(|priority| priority.as_str() == text)
                .ok_or_else(|| Problem::UnknownName {
                    what: "priority",
                    name: text.to_owned(),
                })
        })
    }
}
