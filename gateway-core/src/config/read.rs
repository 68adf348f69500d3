//! Reading a TOML tree into the as-written form. Every value knows its place; every error goes into one [`Report`], and
//! reading goes on, so that all of them are found at once.

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::error::Problem;
use super::report::{At, Place, Report};
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

impl Place {
    /// What the absence of a key in the table at this place means; `None` when it must be there.
    pub fn absent<K: Kind>(&self, name: &str) -> Field<K> {
        let place = self.key(name, self.line);
        K::absent(&place).map(|value| At { place, value })
    }
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

    /// The integer as it is written, if it is one.
    pub fn integer(&self) -> Option<&'t DeInteger<'t>> {
        self.value.as_integer()
    }

    /// The number, if it is an integer or a float.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            DeValue::Integer(integer) => Some(whole(integer).map_or(f64::INFINITY, |whole| whole as f64)),
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
        return "expected `secret = \"NAME\"`, which names a secret that the platform keeps".to_owned();
    }
    suggest(key, known)
}

const SECRETS_ARE_CALLED: [&str; 5] = ["auth", "bearer", "key", "password", "token"];
