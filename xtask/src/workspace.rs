//! Where things are: the workspace, what is built, and what is kept from one clone to the next.

use std::path::{Path, PathBuf};

use crate::error::TaskError;

/// The workspace's root folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(path) => root().join(path),
        None => root().join("target"),
    }
}

/// What was made for the tasks themselves, by name; it may be deleted at any time.
pub fn work_folder(name: &str) -> Result<PathBuf, TaskError> {
    made(target().join(name))
}

/// Where wrangler.toml and spin.toml look for what is deployed, by its runtime: in `target` beside them, wherever cargo puts
/// what it builds.
pub fn deployed(name: &str) -> Result<PathBuf, TaskError> {
    made(root().join("target").join(name))
}

/// Tools that are the same for every clone of the user, kept by name and version: `$XDG_CACHE_HOME/tidegate`, or
/// `~/.cache/tidegate`; in the target folder where there is no home.
pub fn cache() -> Result<PathBuf, TaskError> {
    let xdg = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    made(
        xdg.or(home)
            .map_or_else(|| target().join("cache"), |base| base.join("tidegate")),
    )
}

/// The text of a file.
pub fn read(path: &Path) -> Result<String, TaskError> {
    std::fs::read_to_string(path).map_err(TaskError::file(path))
}

/// Writes a file, and the folders above it.
pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), TaskError> {
    if let Some(folder) = path.parent() {
        made(folder.to_owned())?;
    }
    std::fs::write(path, text).map_err(TaskError::file(path))
}

/// The folder, which exists afterwards.
pub fn made(path: PathBuf) -> Result<PathBuf, TaskError> {
    std::fs::create_dir_all(&path).map_err(TaskError::file(&path))?;
    Ok(path)
}
