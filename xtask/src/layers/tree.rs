//! The files of one crate, and which of them imports which. A path is followed to the file in which its name is defined,
//! through every `pub use` on its way: a re-export is an address, not a dependency.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::imports::{Form, Import, Source, read};
use crate::error::TaskError;
use crate::workspace;

/// One crate's files, without what only tests see.
#[derive(Debug)]
pub struct Tree {
    /// Sorted by their modules: a module stands before its children.
    pub files: Vec<File>,
    by_module: BTreeMap<Vec<String>, usize>,
}

/// One file.
#[derive(Debug)]
pub struct File {
    /// Where it is, from the workspace's root.
    pub path: String,
    /// The module that it is, from the crate's root; that is empty.
    pub module: Vec<String>,
    /// Its lines.
    text: String,
    source: Source,
}

/// One file needs another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Index of the file that imports.
    pub from: usize,
    /// Index of the file that is imported.
    pub to: usize,
    /// Where it does so first, from 1.
    pub line: usize,
}

/// What a path leads to.
struct Definition {
    file: usize,
    is_module: bool,
}

impl Tree {
    /// Reads all files below `root`/`source`.
    pub fn read(root: &Path, source: &str) -> Result<Self, TaskError> {
        let mut paths = Vec::new();
        collect(&root.join(source), &mut paths)?;
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let text = workspace::read(&path)?;
            let relative = path.strip_prefix(root).unwrap_or(&path);
            let within = relative.strip_prefix(source).unwrap_or(relative);
            files.push(File {
                path: relative.display().to_string(),
                module: module_of(within),
                source: read(&text),
                text,
            });
        }
        Ok(Self::of(files))
    }

    fn of(mut files: Vec<File>) -> Self {
        let tests: BTreeSet<Vec<String>> = files
            .iter()
            .flat_map(|file| file.source.test_modules.iter().map(|name| child(&file.module, name)))
            .collect();
        files.retain(|file| !(1..=file.module.len()).any(|length| tests.contains(&file.module[..length])));
        files.sort_by(|one, other| one.module.cmp(&other.module));
        let by_module = files
            .iter()
            .enumerate()
            .map(|(index, file)| (file.module.clone(), index));
        Self {
            by_module: by_module.collect(),
            files,
        }
    }

    /// Every file that another one imports, once for each pair.
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges = BTreeMap::new();
        for from in 0..self.files.len() {
            for import in &self.files[from].source.imports {
                if let Some(to) = self.needed(from, import).filter(|to| *to != from) {
                    edges.entry((from, to)).or_insert(import.line);
                }
            }
        }
        let edge = |((from, to), line)| Edge { from, to, line };
        edges.into_iter().map(edge).collect()
    }

    /// The line at which an edge begins, as it is written.
    pub fn text(&self, edge: Edge) -> &str {
        self.files[edge.from]
            .text
            .lines()
            .nth(edge.line - 1)
            .unwrap_or_default()
            .trim()
    }

    /// The file that an import makes `from` need.
    fn needed(&self, from: usize, import: &Import) -> Option<usize> {
        let file = &self.files[from];
        let path = self.absolute(from, import, DEEPEST)?;
        let means_module = match &import.form {
            Form::Use { name, .. } => self.is_begun_with(from, name) || !self.is_item(&path),
            Form::Glob { .. } => true,
            Form::Inline => !self.is_item(&path),
        };
        let modules = if means_module { path.len() } else { path.len() - 1 };
        let found = self.definition(&path, modules, DEEPEST)?;
        let is_below = self.files[found.file].module.starts_with(&file.module);
        let is_needed = match &import.form {
            // What is behind the module's name is found by the paths that begin with it.
            Form::Use { name, public: false } if found.is_module => !self.is_begun_with(from, name),
            Form::Use { name, public: true } if is_below => file.source.mentioned.contains(name),
            Form::Glob { public: true } => !is_below,
            Form::Use { .. } | Form::Glob { .. } | Form::Inline => true,
        };
        is_needed.then_some(found.file)
    }

    fn is_begun_with(&self, file: usize, name: &str) -> bool {
        let mut imports = self.files[file].source.imports.iter();
        imports.any(|import| import.form == Form::Inline && import.path[0] == name)
    }

    /// Whether a path from the root leads to an item that has its name in common with a module beside it.
    fn is_item(&self, path: &[String]) -> bool {
        let Some((name, module)) = path.split_last() else {
            return false;
        };
        let file = self.by_module.get(module).map(|file| &self.files[*file].source);
        file.is_some_and(|file| file.defined.contains(name) || file.imports.iter().any(|import| is_named(import, name)))
    }

    /// A path from the crate's root; nothing for one into another crate.
    fn absolute(&self, file: usize, import: &Import, deepest: usize) -> Option<Vec<String>> {
        let mut base: Vec<String> = self.files[file].module.clone();
        base.extend(import.scope.iter().cloned());
        let mut names = import.path.iter();
        match names.next()?.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
            }
            first if self.by_module.contains_key(&child(&base, first)) => base.push(first.to_owned()),
            first => base = self.imported(file, import, first, deepest)?,
        }
        for name in names {
            if name == "super" {
                base.pop();
            } else {
                base.push(name.clone());
            }
        }
        Some(base)
    }

    /// What `name` is in a file by another of its imports than `asking`.
    fn imported(&self, file: usize, asking: &Import, name: &str, deepest: usize) -> Option<Vec<String>> {
        let deepest = deepest.checked_sub(1)?;
        let mut imports = self.files[file].source.imports.iter();
        let found = imports.find(|import| *import != asking && is_named(import, name))?;
        self.absolute(file, found, deepest)
    }

    /// The file in which a path from the root ends; at most its first `modules` names are modules.
    fn definition(&self, path: &[String], modules: usize, deepest: usize) -> Option<Definition> {
        let deepest = deepest.checked_sub(1)?;
        let length = (0..=modules)
            .rev()
            .find(|length| self.by_module.contains_key(&path[..*length]))?;
        let file = self.by_module[&path[..length]];
        let Some((name, rest)) = path[length..].split_first() else {
            return Some(Definition { file, is_module: true });
        };
        let here = Definition { file, is_module: false };
        if self.files[file].source.defined.contains(name) {
            return Some(here);
        }
        let on = |import: &Import, name: Option<&String>| {
            let mut path = self.absolute(file, import, deepest)?;
            path.extend(name.cloned());
            path.extend_from_slice(rest);
            self.definition(&path, path.len(), deepest)
        };
        let imports = &self.files[file].source.imports;
        let by_name = imports
            .iter()
            .find(|import| is_named(import, name))
            .and_then(|import| on(import, None));
        let by_glob = || {
            let globs = imports.iter().filter(|import| matches!(import.form, Form::Glob { .. }));
            globs
                .filter_map(|import| on(import, Some(name)))
                .find(|found| self.defines(found, name))
        };
        Some(by_name.or_else(by_glob).unwrap_or(here))
    }

    fn defines(&self, found: &Definition, name: &String) -> bool {
        found.is_module || self.files[found.file].source.defined.contains(name)
    }
}

fn is_named(import: &Import, sought: &str) -> bool {
    matches!(&import.form, Form::Use { name, .. } if name == sought)
}

fn child(module: &[String], name: &str) -> Vec<String> {
    let mut child = module.to_vec();
    child.push(name.to_owned());
    child
}

fn collect(folder: &Path, paths: &mut Vec<std::path::PathBuf>) -> Result<(), TaskError> {
    for entry in std::fs::read_dir(folder).map_err(TaskError::file(folder))? {
        let path = entry.map_err(TaskError::file(folder))?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

/// The module that a file is, by its path from the folder of the sources.
fn module_of(path: &Path) -> Vec<String> {
    let names = path.with_extension("");
    let mut module: Vec<String> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let is_root = module.len() == 1 && matches!(module[0].as_str(), "lib" | "main");
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// Re-exports of re-exports are followed as far as this: a path may lead in a circle.
const DEEPEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            module: module_of(Path::new(path)),
            text: (*text).to_owned(),
            source: read(text),
        };
        Tree::of(files.iter().map(file).collect())
    }

    /// `from -> to` for each edge.
    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let tree = tree(files);
        let shown = |edge: Edge| format!("{} -> {}", tree.files[edge.from].path, tree.files[edge.to].path);
        tree.edges().into_iter().map(shown).collect()
    }

    #[test]
    fn a_name_leads_through_re_exports_to_its_definition() {
        let files = [
            ("lib.rs", "pub mod a; pub mod b;"),
            (
                "a/mod.rs",
                "mod deep; pub use self::deep::Thing as Renamed; pub use deep::all::*;",
            ),
            ("a/deep/mod.rs", "pub mod all; pub struct Thing;"),
            ("a/deep/all.rs", "pub fn helper() {}"),
            ("b.rs", "use crate::a::{Renamed, helper};"),
        ];
        assert_eq!(edges(&files), ["b.rs -> a/deep/mod.rs", "b.rs -> a/deep/all.rs"]);
    }

    #[test]
    fn a_re_export_of_something_from_elsewhere_is_a_dependency() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub use crate::b::Thing;"),
            ("b.rs", "pub struct Thing;"),
        ];
        assert_eq!(edges(&files), ["a.rs -> b.rs"]);
    }

    #[test]
    fn what_a_module_uses_of_its_own_re_exports_it_needs() {
        let files = [
            ("lib.rs", ""),
            (
                "a/mod.rs",
                "mod b; mod c; pub use b::{B, B2}; pub use c::C; fn f(_: B) { c::g() }",
            ),
            ("a/b.rs", "pub struct B; pub struct B2;"),
            ("a/c.rs", "use super::B2; pub struct C; pub fn g() {}"),
        ];
        assert_eq!(
            edges(&files),
            ["a/mod.rs -> a/b.rs", "a/mod.rs -> a/c.rs", "a/c.rs -> a/b.rs"]
        );
    }

    #[test]
    fn paths_are_relative_to_the_module_they_stand_in() {
        let files = [
            ("lib.rs", "mod a; mod d;"),
            ("a/mod.rs", "mod b; pub struct A;"),
            (
                "a/b/mod.rs",
                "mod c; use super::A; mod inner { use super::super::super::d::D; }",
            ),
            ("a/b/c.rs", "use super::super::super::d; fn f() { d::g(); self::h() }"),
            ("d.rs", "pub struct D; pub fn g() {} use std::fmt; use serde::de;"),
        ];
        assert_eq!(
            edges(&files),
            ["a/b/mod.rs -> a/mod.rs", "a/b/mod.rs -> d.rs", "a/b/c.rs -> d.rs"]
        );
    }

    #[test]
    fn a_function_may_be_called_as_the_module_beside_it() {
        let files = [
            ("lib.rs", "mod a; mod c; mod d;"),
            ("a/mod.rs", "mod b; pub fn b() { b::f() }"),
            ("a/b.rs", "pub fn f() {}"),
            ("c.rs", "use crate::a; fn g() { a::b() }"),
            ("d.rs", "use crate::a::b; fn g() { b() }"),
        ];
        assert_eq!(
            edges(&files),
            ["a/mod.rs -> a/b.rs", "c.rs -> a/mod.rs", "d.rs -> a/mod.rs"]
        );
    }

    #[test]
    fn tests_are_no_part_of_the_tree() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "#[cfg(test)] mod tests;"),
            ("a/tests.rs", "use crate::b::B;"),
            ("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a; }"),
        ];
        assert_eq!(tree(&files).files.len(), 3);
        assert_eq!(edges(&files), Vec::<String>::new());
    }

    #[test]
    fn re_exports_in_a_circle_come_to_an_end() {
        let files = [
            ("lib.rs", ""),
            ("a.rs", "pub use crate::b::X;"),
            ("b.rs", "pub use crate::a::X;"),
        ];
        assert_eq!(edges(&files), Vec::<String>::new(), "nobody defines it");
    }
}
