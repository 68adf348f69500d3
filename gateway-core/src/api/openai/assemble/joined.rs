//! What chunks have said so far, as a tree of which every leaf is JSON as it was written.

use std::borrow::Cow;

use super::place::{Place, Rule};
use crate::api::json_cursor::JsonCursor;

/// The members of an object, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<(String, Joined)>);

/// What was put together of one member's values.
#[derive(Debug)]
pub(super) enum Joined {
    /// The newest value.
    Last(String),
    /// What stands between the quotes of strings. A pair of surrogates may be spread over two of them.
    Text(String),
    /// What stands between the brackets of arrays.
    List(String),
    Object(Members),
    /// By index.
    Indexed(Vec<Entry>),
}

/// One of several things of a kind.
#[derive(Debug)]
pub(super) struct Entry {
    pub index: u64,
    pub members: Members,
}

/// What reading a chunk has done.
#[derive(Debug, Default)]
pub(super) struct Trace<'c> {
    /// Bytes that are held now and were not before.
    pub added: usize,
    /// Bytes that were held before and are not now.
    pub freed: usize,
    text: Option<&'c str>,
    /// Reading the same chunk again would add something other than its text.
    has_more: bool,
}

impl Members {
    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Joined> {
        self.iter().find(|(known, _)| *known == name).map(|(_, joined)| joined)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Joined)> {
        self.0.iter().map(|(name, joined)| (name.as_str(), joined))
    }

    /// Takes in an object that belongs there.
    pub fn join<'c>(&mut self, place: Place, object: &'c str, trace: &mut Trace<'c>) {
        let mut cursor = JsonCursor::new(object);
        if !cursor.enter(b'{') {
            return;
        }
        while cursor.next() {
            let name = cursor.name();
            let value = cursor.pass();
            let rule = place.rule(&name, value);
            self.of(name, rule, trace).join(rule, value, trace);
        }
    }

    fn of(&mut self, name: Cow<'_, str>, rule: Rule, trace: &mut Trace<'_>) -> &mut Joined {
        let known = self.0.iter().position(|(known, _)| *known == name);
        let at = known.unwrap_or_else(|| {
            trace.added += name.len() + MEMBER_BYTES;
            self.0.push((name.into_owned(), Joined::nothing(rule)));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

impl Joined {
    fn nothing(rule: Rule) -> Self {
        match rule {
            Rule::Last | Rule::LastFigure => Self::Last(NULL.to_owned()),
            Rule::Text => Self::Text(String::new()),
            Rule::List => Self::List(String::new()),
            Rule::Object(_) => Self::Object(Members::default()),
            Rule::Indexed(_) => Self::Indexed(Vec::new()),
        }
    }

    /// Whether it is more than nothing.
    pub fn says_something(&self) -> bool {
        match self {
            Self::Last(json) => json != NULL && json != "\"\"",
            Self::Text(inner) | Self::List(inner) => !inner.is_empty(),
            Self::Object(members) => members.iter().any(|(_, joined)| joined.says_something()),
            Self::Indexed(entries) => !entries.is_empty(),
        }
    }

    fn join<'c>(&mut self, rule: Rule, value: &'c str, trace: &mut Trace<'c>) {
        match (rule, &mut *self) {
            (Rule::LastFigure, Self::Last(last)) if value == "0" && last != NULL => {}
            (Rule::Last | Rule::LastFigure, Self::Last(last)) => join_last(last, value, trace),
            (Rule::Text, Self::Text(text)) => text.push_str(trace.on_text(value)),
            (Rule::List, Self::List(list)) => join_lists(list, value, trace),
            (Rule::Object(place), Self::Object(members)) => members.join(place, value, trace),
            (Rule::Indexed(place), Self::Indexed(entries)) => join_entries(entries, place, value, trace),
            // Of another kind than before. Null is what many chunks say of what they do not tell.
            (rule, _) if value != NULL => {
                *self = Self::nothing(rule);
                self.join(rule, value, trace);
            }
            _ => {}
        }
    }
}

fn join_last(last: &mut String, value: &str, trace: &mut Trace<'_>) {
    if last == NULL || ![NULL, "\"\"", last.as_str()].contains(&value) {
        trace.added += value.len();
        trace.freed += last.len();
        value.clone_into(last);
    }
}

fn join_lists(list: &mut String, value: &str, trace: &mut Trace<'_>) {
    let inner = within(value).trim();
    if inner.is_empty() {
        return;
    }
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(inner);
    trace.added += inner.len() + 1;
    trace.has_more = true;
}

fn join_entries<'c>(entries: &mut Vec<Entry>, place: Place, array: &'c str, trace: &mut Trace<'c>) {
    let mut cursor = JsonCursor::new(array);
    if !cursor.enter(b'[') {
        return;
    }
    let mut position = 0;
    while cursor.next() {
        let element = cursor.pass();
        let index = index_of(element).unwrap_or(position);
        position += 1;
        let at = match entries.binary_search_by_key(&index, |entry| entry.index) {
            Ok(at) => at,
            Err(at) => {
                trace.added += MEMBER_BYTES;
                let members = Members::default();
                entries.insert(at, Entry { index, members });
                at
            }
        };
        entries[at].members.join(place, element, trace);
    }
}

/// Which of several things of its kind an object adds to.
fn index_of(object: &str) -> Option<u64> {
    let mut cursor = JsonCursor::new(object);
    if !cursor.enter(b'{') {
        return None;
    }
    while cursor.next() {
        let is_index = cursor.name() == INDEX;
        let value = cursor.pass();
        if is_index {
            return value.parse().ok();
        }
    }
    None
}

impl<'c> Trace<'c> {
    /// The one text of the chunk, as a JSON string, where the chunk says nothing else that adds up.
    pub fn single_text(&self) -> Option<&'c str> {
        self.text.filter(|_| !self.has_more)
    }

    /// What stands between the quotes of a text.
    fn on_text(&mut self, value: &'c str) -> &'c str {
        self.has_more |= self.text.is_some();
        self.text = Some(value);
        let inner = within(value);
        self.added += inner.len();
        inner
    }
}

/// What stands between the quotes or brackets.
fn within(value: &str) -> &str {
    value.get(1..value.len().saturating_sub(1)).unwrap_or_default()
}

/// The member that says which of several things an object adds to.
pub(super) const INDEX: &str = "index";
pub(super) const NULL: &str = "null";
/// What a member takes besides its name and value, about.
const MEMBER_BYTES: usize = 64;
