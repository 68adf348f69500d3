//! Reading a TOML tree into the as-written form. Every value knows its key and line; every error goes into one
//! [`Report`], and reading goes on, so that all of them are found at once.

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors, Problem};
use super::suggest::{nearest, suggest};

/// What may stand as a value: one description of a key's type, its bounds and its default.
pub(super) trait Kind {
    /// What a value becomes when it is read.
    type Value;

    /// What would be right, for messages.
    fn expected() -> String;

    /// The value, or `None` when it is wrong, which is then in the report.
    fn read(node: &Node<'_>, report: &mut Report) -> Option<Self::Value>;

    /// What the key's absence means; `None` when it must be there. `place` is where the key would be.
    fn absent(_place: &Place) -> Option<Self::Value> {
        None
    }
}

/// Where something is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The key, such as `clusters[1].region`.
    pub key: String,
    /// Its line, counted from 1.
    pub line: usize,
}

impl Place {
    fn key(&self, name: &str, line: usize) -> Self {
        let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let name = if is_bare { name.to_owned() } else { format!("{name:?}") };
        let key = if self.key.is_empty() {
            name
        } else {
            format!("{}.{name}", self.key)
        };
        Self { key, line }
    }

    /// What the absence of a key in the table at this place means; `None` when it must be there.
    pub fn absent<K: Kind>(&self, name: &str) -> Field<K> {
        let place = self.key(name, self.line);
        K::absent(&place).map(|value| At { place, value })
    }
}

/// A value and where it is written.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub place: Place,
    pub value: T,
}

/// A key's value; `None` when it is missing or wrong, which has been reported.
pub(super) type Field<K> = Option<At<<K as Kind>::Value>>;

/// A key's value, if there is a sound one.
pub(super) fn value<T>(field: &Option<At<T>>) -> Option<&T> {
    field.as_ref().map(|at| &at.value)
}

/// A list's sound entries, none if there is no list.
pub(super) fn entries<T>(list: &Option<At<Vec<At<T>>>>) -> &[At<T>] {
    list.as_ref().map_or(&[], |list| &list.value)
}

/// A value as it stands in the TOML tree.
pub(super) struct Node<'t> {
    place: Place,
    value: &'t DeValue<'t>,
}

impl<'t> Node<'t> {
    /// Parses the text that a `K` is made of.
    pub fn parse<K: Kind>(
        &self,
        report: &mut Report,
        parse: impl FnOnce(&str) -> Result<K::Value, Problem>,
    ) -> Option<K::Value> {
        let Some(text) = self.value.as_str() else {
            self.wrong_type::<K>(report);
            return None;
        };
        parse(text).map_err(|problem| self.wrong::<K>(problem, report)).ok()
    }

    /// Whether it is a text.
    pub fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// The integer and how it is written, if it is one that 64 bits hold.
    pub fn integer(&self) -> Option<&'t DeInteger<'t>> {
        self.value.as_integer()
    }

    /// The number, if it is an integer or a float.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            DeValue::Integer(integer) => whole(integer).map(|whole| whole as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                None
            }
        }
    }

    /// The entries, if it is a list.
    pub fn entries(&self, report: &Report) -> Option<Vec<Node<'t>>> {
        let entry = |(index, entry): (usize, &'t Spanned<DeValue<'t>>)| Node {
            place: Place {
                key: format!("{}[{index}]", self.place.key),
                line: report.line(entry.span().start),
            },
            value: entry.get_ref(),
        };
        self.value
            .as_array()
            .map(|entries| entries.iter().enumerate().map(entry).collect())
    }

    /// The keys, if it is a table.
    pub fn keys(&self) -> Option<Keys<'t>> {
        self.value.as_table().map(|table| Keys {
            place: self.place.clone(),
            table,
        })
    }

    /// The value as `K`, with its place.
    pub fn read<K: Kind>(self, report: &mut Report) -> Field<K> {
        K::read(&self, report).map(|value| At {
            place: self.place,
            value,
        })
    }

    /// Reports that the value has another type than `K` wants.
    pub fn wrong_type<K: Kind>(&self, report: &mut Report) {
        self.wrong::<K>(
            Problem::WrongType {
                found: self.value.type_str(),
            },
            report,
        );
    }

    /// Reports that the value is not what `K` wants.
    pub fn wrong<K: Kind>(&self, problem: Problem, report: &mut Report) {
        report.add(&self.place, problem, format!("expected {}", K::expected()));
    }
}

/// The integer's value, if 64 bits hold it.
pub(super) fn whole(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The keys of one table.
pub(super) struct Keys<'t> {
    place: Place,
    table: &'t DeTable<'t>,
}

impl<'t> Keys<'t> {
    /// The keys of a whole text.
    pub fn of_text(table: &'t DeTable<'t>) -> Self {
        Self {
            place: Place {
                key: String::new(),
                line: 1,
            },
            table,
        }
    }

    /// Reports every key that is not among `known`.
    pub fn expect_only(&self, known: &[&str], report: &mut Report) {
        for key in self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let place = self.place.key(key.get_ref(), report.line(key.span().start));
            report.add(&place, Problem::UnknownKey, what_else(key.get_ref(), known));
        }
    }

    /// The value of a key as `K`, or what its absence means.
    pub fn read<K: Kind>(&self, name: &str, report: &mut Report) -> Field<K> {
        if let Some((key, value)) = self.table.get_key_value(name) {
            let place = self.place.key(name, report.line(key.span().start));
            return Node {
                place,
                value: value.get_ref(),
            }
            .read::<K>(report);
        }
        let absent = self.place.absent::<K>(name);
        if absent.is_none() {
            let place = self.place.key(name, self.place.line);
            report.add(&place, Problem::Missing, format!("expected {}", K::expected()));
        }
        absent
    }
}

/// What to write instead of a key that nobody knows. Who looks for a place for a token is told where it belongs.
fn what_else(key: &str, known: &[&str]) -> String {
    let known = known.iter().copied();
    let lower = key.to_ascii_lowercase();
    let meant_secret =
        SECRETS_ARE_CALLED.iter().any(|word| lower.contains(word)) && known.clone().any(|key| key == "secret");
    if meant_secret && nearest(key, known.clone()).is_none() {
        return "the platform keeps tokens, and `secret = \"NAME\"` says which".to_owned();
    }
    suggest(key, known)
}

const SECRETS_ARE_CALLED: [&str; 5] = ["auth", "bearer", "key", "password", "token"];

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
