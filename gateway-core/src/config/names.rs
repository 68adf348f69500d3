//! Names and what they refer to: nothing twice, nothing unknown.

use std::collections::BTreeMap;

use super::error::Problem;
use super::read::{At, Report};
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
            report.add(&alias.place, problem, "expected a name of its own");
        } else {
            self.known.insert(
                &alias.value,
                Known {
                    name,
                    line: alias.place.line,
                },
            );
        }
    }

    /// Adds a name that several things may share.
    pub fn add_shared(&mut self, name: Option<&'w At<String>>) {
        match name {
            Some(At { place, value }) => {
                self.known.entry(value).or_insert(Known {
                    name: value,
                    line: place.line,
                });
            }
            None => self.incomplete = true,
        }
    }

    /// The name that is meant, aliases resolved; `None` when there is no such name, which is then in the report.
    pub fn resolve(&self, asked: &At<String>, report: &mut Report) -> Option<&'w str> {
        let known = self.known.get(asked.value.as_str());
        if known.is_none() && !self.incomplete {
            let problem = Problem::UnknownName {
                what: self.what,
                name: asked.value.clone(),
            };
            report.add(&asked.place, problem, suggest(&asked.value, self.known.keys().copied()));
        }
        known.map(|known| known.name)
    }
}

/// Values of which each may be there once only, and where each was first.
pub(super) struct Once<T>(BTreeMap<T, usize>);

impl<T: Clone + Ord> Once<T> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a value; reports the `problem` that follows from the line where it is already.
    pub fn add(&mut self, at: &At<T>, problem: impl FnOnce(usize) -> Problem, expected: &str, report: &mut Report) {
        if let Some(line) = self.0.get(&at.value) {
            report.add(&at.place, problem(*line), expected);
        } else {
            self.0.insert(at.value.clone(), at.place.line);
        }
    }
}
