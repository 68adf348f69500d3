//! How an answer that was put together is written: what a stream calls a delta is a message, calls have no index, and
//! what OpenAI's API wants of every answer is there.

use bytes::Bytes;

use super::joined::{Entry, INDEX, Joined, Members, NULL};
use crate::api::request::quoted;

/// The answer, which takes about that many bytes; `None` where it has no choice.
pub(super) fn answer(answer: &Members, bytes: usize) -> Option<Bytes> {
    let Some(Joined::Indexed(choices)) = answer.get("choices").filter(|choices| choices.says_something()) else {
        return None;
    };
    let mut out = String::with_capacity(bytes);
    let mut object = Object::open(&mut out);
    for (name, joined) in answer.iter() {
        match (name, joined) {
            ("choices", _) => array(object.name(name), choices, choice),
            ("object", Joined::Last(json)) => object.name(name).push_str(&json.replace(".chunk\"", "\"")),
            _ => value(object.name(name), joined),
        }
    }
    object.close();
    Some(out.into())
}

fn choice(out: &mut String, Entry { index, members }: &Entry) {
    let mut object = Object::open(out);
    object.name(INDEX).push_str(itoa::Buffer::new().format(*index));
    let spoken_in = spoken_in(members);
    for (name, joined) in members.iter() {
        match (name, joined) {
            ("delta" | "message", Joined::Object(said)) if name == spoken_in => message(object.name("message"), said),
            (INDEX | "delta" | "message", _) => {}
            _ => value(object.name(name), joined),
        }
    }
    object.nulls(members, &["logprobs", "finish_reason"]);
    object.close();
}

/// Which of a choice's members is the message. Who sends both says the same in both, or leaves one of them empty.
fn spoken_in(choice: &Members) -> &'static str {
    let names_role_at_most = |delta: &Members| {
        let mut parts = delta.iter();
        parts.all(|(name, joined)| name == "role" || !joined.says_something())
    };
    match (choice.get("delta"), choice.get("message")) {
        (Some(Joined::Object(delta)), Some(Joined::Object(_))) if names_role_at_most(delta) => "message",
        (Some(Joined::Object(_)), _) => "delta",
        _ => "message",
    }
}

fn message(out: &mut String, said: &Members) {
    let mut object = Object::open(out);
    if said.get("role").is_none() {
        object.name("role").push_str("\"assistant\"");
    }
    let others = said.iter().filter(|(name, _)| !["role", "content"].contains(name));
    let says_otherwise = others.map(|(_, joined)| joined).any(Joined::says_something);
    for (name, joined) in said.iter() {
        match (name, joined) {
            ("content", joined) if says_otherwise && !joined.says_something() => object.name(name).push_str(NULL),
            ("tool_calls", Joined::Indexed(calls)) if calls.is_empty() => {}
            ("tool_calls", Joined::Indexed(calls)) => array(object.name(name), calls, |out, call| {
                members(out, call.members.iter().filter(|(name, _)| *name != INDEX));
            }),
            _ => value(object.name(name), joined),
        }
    }
    object.nulls(said, &["content", "refusal"]);
    object.close();
}

fn value(out: &mut String, joined: &Joined) {
    match joined {
        Joined::Last(json) => out.push_str(json),
        Joined::Text(inner) => push_between(out, '"', inner, '"'),
        Joined::List(inner) => push_between(out, '[', inner, ']'),
        Joined::Object(object) => members(out, object.iter()),
        Joined::Indexed(entries) => array(out, entries, |out, entry| members(out, entry.members.iter())),
    }
}

fn members<'m>(out: &mut String, members: impl Iterator<Item = (&'m str, &'m Joined)>) {
    let mut object = Object::open(out);
    for (name, joined) in members {
        value(object.name(name), joined);
    }
    object.close();
}

fn array(out: &mut String, entries: &[Entry], write: impl Fn(&mut String, &Entry)) {
    out.push('[');
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, entry);
    }
    out.push(']');
}

fn push_between(out: &mut String, opening: char, inner: &str, closing: char) {
    out.push(opening);
    out.push_str(inner);
    out.push(closing);
}

/// An object that is being written.
struct Object<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn open(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    /// Writes a member's name, and gives where its value goes.
    fn name(&mut self, name: &str) -> &mut String {
        if !self.is_empty {
            self.out.push(',');
        }
        self.is_empty = false;
        self.out.push_str(&quoted(name));
        self.out.push(':');
        self.out
    }

    /// Says null of what was not told.
    fn nulls(&mut self, told: &Members, names: &[&str]) {
        for name in names.iter().filter(|name| told.get(name).is_none()) {
            self.name(name).push_str(NULL);
        }
    }

    fn close(self) {
        self.out.push('}');
    }
}
