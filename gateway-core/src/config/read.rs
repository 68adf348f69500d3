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
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self::Value>;

    /// What the key's absence from `place` means; `None` when it must be there.
    fn absent(_place: Place, _report: &mut Report) -> Option<Self::Value> {
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

/// A value as it stands in the TOML tree.
#[derive(Clone, Copy)]
pub(super) struct Node<'t> {
    place: Place,
    value: &'t DeValue<'t>,
}

impl<'t> Node<'t> {
    /// Parses the text that a `K` is made of.
    pub fn parse<K: Kind>(
        self,
        report: &mut Report,
        parse: impl FnOnce(&str) -> Result<K::Value, Problem>,
    ) -> Option<K::Value> {
        let Some(text) = self.value.as_str() else {
            self.wrong_type(&K::expected(), report);
            return None;
        };
        let parsed = parse(text);
        parsed
            .map_err(|problem| self.wrong(problem, &K::expected(), report))
            .ok()
    }

    /// Whether it is a text.
    pub fn is_text(self) -> bool {
        self.value.is_str()
    }

    /// The integer, if it is one.
    pub fn integer(self) -> Option<&'t DeInteger<'t>> {
        self.value.as_integer()
    }

    /// Whether it says yes, if it is a boolean.
    pub fn flag(self) -> Option<bool> {
        self.value.as_bool()
    }

    /// The number and how it is written, if it is an integer or a float.
    pub fn number(self) -> Option<(f64, &'t str)> {
        match self.value {
            DeValue::Integer(integer) => {
                let number = whole(integer).map_or(f64::INFINITY, |whole| whole as f64);
                Some((number, integer.as_str()))
            }
            DeValue::Float(float) => Some((float.as_str().parse().ok()?, float.as_str())),
            DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                None
            }
        }
    }

    /// The entries, if it is a list.
    #[inline(never)]
    pub fn entries(self, report: &mut Report) -> Option<Vec<Self>> {
        let entries = self.value.as_array()?.iter().enumerate();
        let node = |(index, entry): (usize, &'t Spanned<DeValue<'t>>)| Self {
            place: report.entry(self.place, index, entry.span().start),
            value: entry.get_ref(),
        };
        Some(entries.map(node).collect())
    }

    /// The keys, if it is a table.
    pub fn keys(self) -> Option<Keys<'t>> {
        let (place, table) = (self.place, self.value.as_table()?);
        Some(Keys { place, table })
    }

    /// The value as `K`, with its place.
    pub fn read<K: Kind>(self, report: &mut Report) -> Field<K> {
        let (place, value) = (self.place, K::read(self, report)?);
        Some(At { place, value })
    }

    /// Reports that the value has another type than what is expected.
    #[inline(never)]
    pub fn wrong_type(self, expected: &str, report: &mut Report) {
        let found = self.value.type_str();
        self.wrong(Problem::WrongType { found }, expected, report);
    }

    /// Reports that the value is not what is expected.
    #[inline(never)]
    pub fn wrong(self, problem: Problem, expected: &str, report: &mut Report) {
        report.add(self.place, problem, format!("expected {expected}"));
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
        let place = Place::TEXT;
        Self { place, table }
    }

    /// Reports every key that is not among `known`.
    #[inline(never)]
    pub fn expect_only(&self, known: &[&str], report: &mut Report) {
        for key in self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            report.unknown_key(
                self.place,
                key.get_ref(),
                key.span().start,
                what_else(key.get_ref(), known),
            );
        }
    }

    /// The value of a key as `K`, or what its absence means.
    pub fn read<K: Kind>(&self, key: &'static str, report: &mut Report) -> Field<K> {
        if let Some(node) = self.node(key, report) {
            return node.read::<K>(report);
        }
        let absent = absent::<K>(self.place, key, report);
        if absent.is_none() {
            self.on_missing(key, K::expected, report);
        }
        absent
    }

    /// Not generic, and not inlined, as all below that is alike for every kind: the code of a hundred keys is smaller so.
    #[inline(never)]
    fn on_missing(&self, key: &'static str, expected: fn() -> String, report: &mut Report) {
        let place = report.absent_key(self.place, key);
        report.add(place, Problem::Missing, format!("expected {}", expected()));
    }

    #[inline(never)]
    fn node(&self, key: &'static str, report: &mut Report) -> Option<Node<'t>> {
        let (written, value) = self.table.get_key_value(key)?;
        let (place, value) = (report.key(self.place, key, written.span().start), value.get_ref());
        Some(Node { place, value })
    }
}

/// What the absence of a key from the table at `within` means; `None` when it must be there.
pub(super) fn absent<K: Kind>(within: Place, key: &'static str, report: &mut Report) -> Field<K> {
    let place = report.absent_key(within, key);
    let value = K::absent(place, report)?;
    Some(At { place, value })
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
