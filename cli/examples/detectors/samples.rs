//! The corpus: a file of JSON lines for each kind of text.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Texts of one kind.
#[derive(Debug)]
pub struct Kind {
    /// The file's name without its ending.
    pub name: String,
    path: PathBuf,
}

/// One text.
#[derive(Debug, Deserialize)]
pub struct Sample {
    /// What it was cut from.
    pub document: String,
    /// As an answer would have it.
    pub text: String,
    /// Where it fails, in bytes.
    #[serde(default)]
    pub from: usize,
    /// After how many bytes a loop comes around; 0 where nothing does.
    #[serde(default)]
    pub unit: usize,
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Thresholds were chosen by it.
    Tuning,
    /// It tells how good they are.
    HeldOut,
}

impl Kind {
    /// All of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn samples(&self) -> Result<Vec<Sample>, String> {
        let text = std::fs::read_to_string(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))?;
        let sample = |line| serde_json::from_str(line).map_err(|error| format!("{}: {error}", self.path.display()));
        text.split('\n').filter(|line| !line.is_empty()).map(sample).collect()
    }
}

impl Sample {
    /// The share of its document: by FNV-1a of the name, as `tests/detectors/corpus/model.py` has it.
    pub fn share(&self) -> Share {
        let step = |digest: u64, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        let digest = self.document.bytes().fold(0xCBF2_9CE4_8422_2325, step);
        if (digest ^ digest >> 29) % 10 < 3 {
            Share::HeldOut
        } else {
            Share::Tuning
        }
    }
}

/// The kinds in a folder, in the order of their names.
///
/// # Errors
/// When it cannot be read.
pub fn kinds(folder: &Path) -> Result<Vec<Kind>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let kind = |path: PathBuf| Kind {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        path,
    };
    Ok(paths.into_iter().map(kind).collect())
}

/// A text as it would come.
pub fn pieces(text: &str, size: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(size));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
