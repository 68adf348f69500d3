//! Holds one area's imports to its layers, and looks for circles. It changes nothing and knows no area by its name.

use std::collections::BTreeSet;
use std::fmt;

use super::circles::{circles, way_around};
use super::table::Area;
use super::tree::{Edge, Tree};

/// How many files an area has, and how they hang together.
#[derive(Debug, PartialEq, Eq)]
pub struct Figures {
    /// Which area.
    pub area: String,
    /// Files below it.
    pub files: usize,
    /// Its modules that are part of a circle of modules.
    pub modules_in_circles: usize,
    /// Files of the largest circle of files below it; 0 without one.
    pub largest_file_circle: usize,
    /// Imports that are let through.
    pub exceptions: usize,
}

/// What is against the layers.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// An import that does not lead downwards.
    Upward {
        /// `file:line`
        location: String,
        /// The line as it is written.
        text: String,
        /// Who imports.
        from: String,
        /// Whom.
        to: String,
        /// What `from` may import.
        below: Vec<&'static str>,
    },
    /// Modules that import each other.
    Circle {
        /// Which area.
        area: String,
        /// All modules of the circle.
        modules: BTreeSet<String>,
        /// One way around, an import a line.
        way: Vec<String>,
    },
    /// A module that stands in no layer.
    Unplaced {
        /// Its path.
        module: String,
    },
    /// An exception that lets nothing through.
    Unused {
        /// Which area.
        area: String,
        /// Who imported.
        from: &'static str,
        /// Whom.
        to: &'static str,
    },
    /// A layer names a module that does not exist.
    Gone {
        /// Its path.
        module: String,
    },
}

/// Looks at one area.
pub fn hold(area: &Area, tree: &Tree) -> (Figures, Vec<Finding>) {
    let files: Vec<usize> = (0..tree.files.len())
        .filter(|file| is_within(area, tree, *file))
        .collect();
    let edges: Vec<Edge> = tree
        .edges()
        .into_iter()
        .filter(|edge| files.contains(&edge.from))
        .collect();
    let edges: Vec<Edge> = edges.into_iter().filter(|edge| files.contains(&edge.to)).collect();
    let names: BTreeSet<&str> = files.iter().filter_map(|file| child_of(area, tree, *file)).collect();
    let names: Vec<&str> = names.into_iter().collect();

    let mut findings = misplaced(area, &names);
    findings.extend(edges.iter().filter_map(|edge| upward(area, tree, *edge)));
    let mut rooms = Rooms::of(area, tree, &edges, names);
    let all = circles(rooms.names.len(), &rooms.pairs());
    findings.extend(rooms.take_exceptions(area));
    let found = circles(rooms.names.len(), &rooms.pairs());
    findings.extend(found.iter().map(|circle| rooms.finding(area, tree, circle)));

    let file_pairs: Vec<(usize, usize)> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let figures = Figures {
        area: name(area),
        files: files.len(),
        modules_in_circles: all.iter().map(Vec::len).sum(),
        exceptions: area.exceptions.len(),
        largest_file_circle: circles(tree.files.len(), &file_pairs).first().map_or(0, Vec::len),
    };
    (figures, findings)
}

fn is_within(area: &Area, tree: &Tree, file: usize) -> bool {
    let module = &tree.files[file].module;
    module.len() >= area.module.len() && area.module.iter().zip(module).all(|(one, other)| one == other)
}

/// The child of the area that a file belongs to; none for the area's own file.
fn child_of<'a>(area: &Area, tree: &'a Tree, file: usize) -> Option<&'a str> {
    tree.files[file].module.get(area.module.len()).map(String::as_str)
}

fn name(area: &Area) -> String {
    [&[area.source], area.module].concat().join("/")
}

fn misplaced(area: &Area, names: &[&str]) -> Vec<Finding> {
    let placed: Vec<&str> = area.layers.concat();
    let module = |child: &&str| format!("{}/{child}", name(area));
    let unplaced = names.iter().filter(|child| !placed.contains(child));
    let gone = placed.iter().filter(|child| !names.contains(child));
    unplaced
        .map(|child| Finding::Unplaced { module: module(child) })
        .chain(gone.map(|child| Finding::Gone { module: module(child) }))
        .collect()
}

fn upward(area: &Area, tree: &Tree, edge: Edge) -> Option<Finding> {
    // The area's own file stands above all others.
    let from = child_of(area, tree, edge.from)?;
    let to = child_of(area, tree, edge.to);
    let layer = |child: &str| area.layers.iter().position(|layer| layer.contains(&child));
    let own = layer(from)?;
    let allowed = match to {
        None => false,
        Some(to) => from == to || layer(to).is_none_or(|layer| layer < own) || area.exceptions.contains(&(from, to)),
    };
    if allowed {
        return None;
    }
    Some(Finding::Upward {
        location: location(tree, edge),
        text: tree.text(edge).to_owned(),
        from: from.to_owned(),
        to: to.unwrap_or("what stands above it").to_owned(),
        below: area.layers[..own].concat(),
    })
}

fn location(tree: &Tree, edge: Edge) -> String {
    format!("{}:{}", tree.files[edge.from].path, edge.line)
}

/// The modules of an area, and one import for each pair of them.
struct Rooms<'a> {
    names: Vec<&'a str>,
    edges: Vec<(usize, usize, Edge)>,
}

impl<'a> Rooms<'a> {
    fn of(area: &Area, tree: &'a Tree, edges: &[Edge], names: Vec<&'a str>) -> Self {
        let index = |file| {
            let child = child_of(area, tree, file)?;
            names.iter().position(|name| *name == child)
        };
        let pair = |edge: &Edge| Some((index(edge.from)?, index(edge.to)?, *edge));
        let edges = edges.iter().filter_map(pair).filter(|(from, to, _)| from != to);
        Self {
            edges: edges.collect(),
            names,
        }
    }

    /// Leaves out what the table lets through, and says what of that nobody imports.
    fn take_exceptions(&mut self, area: &Area) -> Vec<Finding> {
        let named = |(from, to, _): &(usize, usize, Edge)| (self.names[*from], self.names[*to]);
        let unused = area
            .exceptions
            .iter()
            .filter(|exception| !self.edges.iter().any(|edge| named(edge) == **exception));
        let findings = unused.map(|(from, to)| Finding::Unused {
            area: name(area),
            from,
            to,
        });
        let findings = findings.collect();
        let names = &self.names;
        self.edges
            .retain(|(from, to, _)| !area.exceptions.contains(&(names[*from], names[*to])));
        findings
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        self.edges.iter().map(|(from, to, _)| (*from, *to)).collect()
    }

    fn finding(&self, area: &Area, tree: &Tree, circle: &[usize]) -> Finding {
        let around = way_around(circle, &self.pairs());
        let steps = around.iter().zip(around.iter().cycle().skip(1));
        let way = steps.filter_map(|(from, to)| {
            let (_, _, edge) = self.edges.iter().find(|(one, other, _)| (one, other) == (from, to))?;
            let (from, to) = (self.names[*from], self.names[*to]);
            Some(format!(
                "{from} -> {to}: {}: {}",
                location(tree, *edge),
                tree.text(*edge)
            ))
        });
        Finding::Circle {
            area: name(area),
            modules: circle.iter().map(|index| self.names[*index].to_owned()).collect(),
            way: way.collect(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { area, files, .. } = self;
        write!(f, "{area}: {files} files, ")?;
        match self.modules_in_circles {
            0 => write!(f, "no circle of modules, ")?,
            modules => write!(f, "{modules} modules in circles, ")?,
        }
        match self.largest_file_circle {
            0 => write!(f, "no circle of files"),
            files => write!(f, "{files} files in the largest circle of files"),
        }?;
        match self.exceptions {
            0 => Ok(()),
            exceptions => write!(f, ", exceptions: {exceptions}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upward {
                location,
                text,
                from,
                to,
                below,
            } => {
                let below = if below.is_empty() {
                    "nothing".to_owned()
                } else {
                    below.join(", ")
                };
                write!(
                    f,
                    "{location}: {text}\n    `{from}` may not import `{to}`, only what stands below: {below}. Move what both \
                     need down, or hand it over as an argument"
                )
            }
            Self::Circle { area, modules, way } => {
                let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
                write!(
                    f,
                    "{area}: {} import each other in a circle:\n    {}",
                    modules.join(", "),
                    way.join("\n    ")
                )
            }
            Self::Unplaced { module } => write!(
                f,
                "{module}: stands in no layer. Put it into one in xtask/src/layers/table.rs, as low as what it imports allows"
            ),
            Self::Unused { area, from, to } => write!(
                f,
                "{area}: `{from}` imports nothing of `{to}`. Take the exception out of xtask/src/layers/table.rs"
            ),
            Self::Gone { module } => write!(f, "{module}: does not exist. Take it out of xtask/src/layers/table.rs"),
        }
    }
}
