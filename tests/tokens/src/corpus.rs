//! The corpus: classes of texts, a file of JSON lines each.

use std::io::{BufRead as _, BufReader};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::Deserialize;

/// The texts of one kind.
pub struct Class {
    /// The file's name without its ending.
    pub name: String,
    path: PathBuf,
}

/// One text.
#[derive(Debug, Deserialize)]
pub struct Sample {
    /// Where it comes from.
    pub name: String,
    /// Up to a megabyte.
    pub text: String,
}

impl Class {
    /// The samples in the file's order.
    ///
    /// # Panics
    /// When the file cannot be read.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        let path = self.path.clone();
        lines(&self.path)
            .map(move |line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }
}

/// All classes, at least one, in the order of their names.
///
/// # Panics
/// When there are none.
pub fn classes() -> Vec<Class> {
    let folder = folder();
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    assert!(!paths.is_empty(), "there is no corpus in {}", folder.display());
    let class = |path: PathBuf| Class {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        path,
    };
    paths.into_iter().map(class).collect()
}

/// What Python's `tokenizers` makes of a sample.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    /// How many ids it has.
    pub count: u64,
    /// Their digest.
    pub ids: String,
    /// Digest of the text as it is normalized, where the tokenizer does so.
    pub normalized: Option<String>,
}

/// What Python's `tokenizers` makes of a class with a tokenizer, sample by sample.
///
/// # Panics
/// When the oracle was not asked.
pub fn oracle(tokenizer: &str, class: &str) -> impl Iterator<Item = Expected> {
    let path = folder().join("python").join(tokenizer).join(format!("{class}.txt"));
    lines(&path).map(move |line| expected(&line).unwrap_or_else(|| panic!("{}: what is {line:?}?", path.display())))
}

fn expected(line: &str) -> Option<Expected> {
    let mut words = line.split(' ');
    Some(Expected {
        count: words.next()?.parse().ok()?,
        ids: words.next()?.to_owned(),
        normalized: words.next().filter(|word| *word != "-").map(str::to_owned),
    })
}

/// Characters that Python's `tokenizers` takes for unassigned, as ranges in their order.
///
/// # Panics
/// When the oracle was not asked.
pub fn unassigned() -> Vec<RangeInclusive<char>> {
    let range = |line: &str| {
        let (first, last) = line.split_once(' ')?;
        let point = |digits| char::from_u32(u32::from_str_radix(digits, 16).ok()?);
        Some(point(first)?..=point(last)?)
    };
    let ranges: Option<Vec<_>> = lines(&folder().join("python/unassigned.txt"))
        .map(|line| range(&line))
        .collect();
    let ranges = ranges.expect("each line has two characters");
    assert!(!ranges.is_empty(), "some characters are always unassigned");
    ranges
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("TIDEGATE_CORPUS").expect("TIDEGATE_CORPUS names the folder of the corpus"))
}

fn lines(path: &PathBuf) -> impl Iterator<Item = String> + use<> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // A text may hold what other programs take for the end of a line; in JSON only this byte is one.
    BufReader::new(file).split(b'\n').map(|line| {
        let line = line.expect("the file can be read to its end");
        String::from_utf8(line).expect("the file is UTF-8")
    })
}
