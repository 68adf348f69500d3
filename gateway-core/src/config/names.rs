//! Names and what they refer to: nothing twice, nothing unknown.

use std::collections::BTreeMap;

use super::error::Problem;
use super::report::{At, Report};
use super::suggest::suggest;

/// The names that things of one sort have.
pub(super) struct Names<'w> {
    what: &'static str,
    known: BTreeMap<&'w str, Known<'w>>,
    /// Whether a name could not be read: a reference to nothing may then be one to that.
    incomplete: bool,
}

#[derive(Clone, Copy)]
struct Known<'w> {
    /// The name, or the one that it is an alias of.
    name: &'w str,
    line: usize,
}

impl<'w> Names<'w> {
    /// No names yet of things that are called `what`.
    pub fn of(what: &'static str) -> Self {
        Self {
            what,
            known: BTreeMap::new(),
            incomplete: false,
        }
    }

    /// Doubts that all names will be known, unless `all` could be read.
    pub fn complete_if(mut self, all: bool) -> Self {
        self.incomplete |= !all;
        self
    }

    /// Adds a name that nothing else may have.
    pub fn add(&mut self, name: Option<&'w At<String>>, report: &mut Report) {
        match name {
            Some(name) => self.add_alias(name, &name.value, report),
            None => self.incomplete = true,
        }
    }

    /// Adds another name for `name`.
    pub fn add_alias(&mut self, alias: &'w At<String>, name: &'w str, report: &mut Report) {
        if let Some(first) = self.known.get(alias.value.as_str()) {
            let problem = Problem::Duplicate {
                what: self.what,
                name: alias.value.clone(),
                line: first.line,
            };
            report.add(alias.place, problem, "expected a name of its own");
        } else {
            self.known.insert(
                &alias.value,
                Known {
                    name,
                    line: report.line(alias.place),
                },
            );
        }
    }

    /// Adds a name that several things may share.
    pub fn add_shared(&mut self, name: Option<&'w At<String>>, report: &Report) {
        let Some(name) = name else {
            self.incomplete = true;
            return;
        };
        let known = Known {
            name: &name.value,
            line: report.line(name.place),
        };
        self.known.entry(&name.value).or_insert(known);
    }

    /// The name that is meant, aliases resolved, in the same place; `None` when there is no such name, which is then in
    /// the report.
    pub fn resolve(&self, asked: &At<String>, report: &mut Report) -> Option<At<String>> {
        let known = self.known.get(asked.value.as_str());
        if known.is_none() && !self.incomplete {
            let problem = Problem::UnknownName {
                what: self.what,
                name: asked.value.clone(),
            };
            report.add(asked.place, problem, suggest(&asked.value, self.known.keys().copied()));
        }
        known.map(|known| asked.with(known.name.to_owned()))
    }
}

/// Texts of which each may be there once only, and where each was first.
pub(super) struct Once {
    what: &'static str,
    expected: &'static str,
    lines: BTreeMap<String, usize>,
}

impl Once {
    /// Nothing yet; `what` it is and what is expected of it, for messages.
    pub fn of(what: &'static str, expected: &'static str) -> Self {
        let lines = BTreeMap::new();
        Self { what, expected, lines }
    }

    /// Adds a text, or reports that it is there already.
    pub fn add(&mut self, at: &At<String>, report: &mut Report) {
        let name = at.value.clone();
        if let Some(line) = self.lines.get(&name).copied() {
            let what = self.what;
            report.add(at.place, Problem::Duplicate { what, name, line }, self.expected);
        } else {
            self.lines.insert(name, report.line(at.place));
        }
    }
}
