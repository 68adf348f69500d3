//! Remembers that something was made, and of what: a file beside it that holds a digest of its sources.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use crate::error::TaskError;
use crate::workspace;

/// A short name for `sources`, the same for the same sources.
pub fn digest(sources: &[&str]) -> String {
    // The default hasher's keys are fixed. A collision would at worst leave a stale tool in place.
    let mut hasher = DefaultHasher::new();
    sources.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Runs `make` unless it has already run for these sources in `folder`.
pub fn once(folder: &Path, sources: &[&str], make: impl FnOnce() -> Result<(), TaskError>) -> Result<(), TaskError> {
    let wanted = digest(sources);
    let stamp = stamp_file(folder);
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    make()?;
    workspace::write(&stamp, wanted)
}

fn stamp_file(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// The stamp's name in its folder.
pub const NAME: &str = ".tidegate-made-of";
