//! Who may import whom: reads the imports of the code itself and holds them to the layers in [`table`]. It looks at
//! `use` declarations and at paths that are written out; what only tests see is free to import anything.

mod circles;
mod imports;
mod lexer;
mod rules;
mod table;
mod tree;

use std::path::Path;

use self::rules::{Figures, Finding};
use self::table::{AREAS, Area};
use self::tree::Tree;
use crate::error::TaskError;
use crate::{terminal, workspace};

/// Fails when a module imports one that is not below it, and when modules import each other in a circle.
pub fn check() -> Result<(), TaskError> {
    let findings = judge(&workspace::root(), AREAS)?;
    for figures in &findings.figures {
        terminal::note(&figures.to_string());
    }
    if findings.breaches.is_empty() {
        return Ok(());
    }
    let breaches: Vec<String> = findings.breaches.iter().map(ToString::to_string).collect();
    Err(TaskError::unmet(
        "layers",
        format!("{} findings", breaches.len()),
        format!(
            "imports point down only (xtask/src/layers/table.rs)\n{}",
            breaches.join("\n")
        ),
    ))
}

/// What was looked at and found.
struct Findings {
    figures: Vec<Figures>,
    breaches: Vec<Finding>,
}

fn judge(root: &Path, areas: &[Area]) -> Result<Findings, TaskError> {
    let mut findings = Findings {
        figures: Vec::new(),
        breaches: Vec::new(),
    };
    let mut read: Option<(&str, Tree)> = None;
    for area in areas {
        let tree = match read.take() {
            Some((source, tree)) if source == area.source => tree,
            Some(_) | None => Tree::read(root, area.source)?,
        };
        let (figures, breaches) = rules::hold(area, &tree);
        findings.figures.push(figures);
        findings.breaches.extend(breaches);
        read = Some((area.source, tree));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::TaskError;

    const AREA: Area = Area {
        source: "src",
        module: &[],
        layers: &[&["words"], &["rules"], &["ways", "views"]],
        exceptions: &[("views", "ways")],
    };

    /// What is found in a crate of these files, as text.
    fn found(name: &str, files: &[(&str, &str)]) -> Result<Vec<String>, TaskError> {
        let root = workspace::work_folder("layers-fixture")?.join(name);
        if root.exists() {
            std::fs::remove_dir_all(&root).map_err(TaskError::file(&root))?;
        }
        for (path, text) in files {
            workspace::write(&root.join("src").join(path), text)?;
        }
        let findings = judge(&root, &[AREA])?;
        Ok(findings.breaches.iter().map(ToString::to_string).collect())
    }

    fn file_with<'a>(path: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
        let files = [
            (
                "lib.rs",
                "pub mod rules; pub mod views; pub mod ways; pub mod words;\npub use ways::Way;",
            ),
            ("words/mod.rs", "mod inner; pub use self::inner::Word;"),
            ("words/inner.rs", "pub struct Word;"),
            (
                "rules.rs",
                "use crate::words::Word;\npub struct Rule(Word);\n#[cfg(test)] mod tests { use crate::ways::Way; }",
            ),
            (
                "ways/mod.rs",
                "mod deep;\nuse super::rules::Rule;\npub struct Way(Rule);",
            ),
            (
                "ways/deep.rs",
                "use crate::words::Word;\npub fn f(_: Word, _: super::Way) {}",
            ),
            ("views.rs", "pub struct View(crate::ways::Way);"),
        ];
        files
            .into_iter()
            .map(|(name, old)| (name, if name == path { text } else { old }))
            .collect()
    }

    #[test]
    fn what_imports_downwards_is_right() {
        assert_eq!(
            found("right", &file_with("", "")).expect("it is read"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_import_upwards_is_found_with_its_line() {
        let text =
            "use std::{\n    fmt,\n};\nuse crate::{words::Word,\n    ways::Way as W};\npub struct Rule(Word, W);";
        let found = found("upward", &file_with("rules.rs", text)).expect("it is read");
        assert!(found[0].starts_with("src/rules.rs:5: ways::Way as W};\n"), "{found:?}");
        assert!(
            found[0].contains("`rules` may not import `ways`, only what stands below: words."),
            "{found:?}"
        );
        assert!(
            found[1].contains("rules, ways import each other in a circle"),
            "{found:?}"
        );
        assert!(
            found[1].contains("ways -> rules: src/ways/mod.rs:2: use super::rules::Rule;"),
            "{found:?}"
        );
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_path_upwards_is_found_in_a_function_and_through_a_re_export() {
        for text in [
            "pub struct Word;\nfn f() { crate::ways::deep::f() }",
            "pub struct Word;\nfn f(way: super::super::Way) {}",
            "pub struct Word;\nuse crate as root; fn f(way: root::ways::Way) {}",
        ] {
            let found = found("inline", &file_with("words/inner.rs", text)).expect("it is read");
            assert!(found[0].starts_with("src/words/inner.rs:2: "), "{text}: {found:?}");
            assert!(
                found[0].contains("`words` may not import `ways`, only what stands below: nothing"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_neighbour_may_be_imported_only_where_the_table_lets_it_through() {
        let text = "pub struct Way(crate::views::View);";
        let found = found("exception", &file_with("ways/mod.rs", text)).expect("it is read");
        assert!(found[0].contains("`ways` may not import `views`"), "{found:?}");
        assert_eq!(
            found.len(),
            1,
            "the circle needs the way that is let through: {found:?}"
        );
    }

    #[test]
    fn an_exception_that_is_not_needed_is_taken_out() {
        let found = found("unused", &file_with("views.rs", "pub struct View;")).expect("it is read");
        assert!(
            found[0].contains("`views` imports nothing of `ways`. Take the exception out"),
            "{found:?}"
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn the_top_is_imported_by_nobody_and_every_module_stands_in_a_layer() {
        let mut files = file_with("rules.rs", "use crate::Top;");
        files[0].1 = "pub struct Top;";
        files.push(("news.rs", ""));
        files.retain(|(name, _)| *name != "views.rs");
        let found = found("placed", &files).expect("it is read");
        assert!(found[0].starts_with("src/news: stands in no layer"), "{found:?}");
        assert!(found[1].starts_with("src/views: does not exist"), "{found:?}");
        assert!(
            found[2].contains("`rules` may not import `what stands above it`"),
            "{found:?}"
        );
    }

    #[test]
    fn a_circle_within_a_module_is_counted_and_no_more() {
        let text = "use super::Way; pub fn f(_: Way) {}";
        let mut files = file_with("ways/deep.rs", text);
        files[4].1 = "mod deep;\npub struct Way;\npub fn g() { deep::f(Way) }";
        assert_eq!(found("within", &files).expect("it is read"), Vec::<String>::new());
        let root = workspace::work_folder("layers-fixture")
            .expect("it was made")
            .join("within");
        let figures = &judge(&root, &[AREA]).expect("it is read").figures[0];
        assert_eq!(
            (figures.files, figures.modules_in_circles, figures.largest_file_circle),
            (7, 0, 2)
        );
    }

    #[test]
    fn every_area_of_the_table_is_there() {
        let findings = judge(&workspace::root(), AREAS).expect("the workspace is read");
        let files: Vec<usize> = findings.figures.iter().map(|figures| figures.files).collect();
        assert!(files.len() == AREAS.len() && !files.contains(&0), "{files:?}");
    }
}
