//! The token tables that a build carries: which, and how they get into a Worker.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::build::CONFIG;
use crate::error::TaskError;
use crate::setup::TABLE;
use crate::workspace;

/// Tells the adapters' builds the folder with the tables that they carry.
pub const TOKENS: &str = "TIDEGATE_TOKENS";

/// The folder with the tables of an operator's build: the one that `TIDEGATE_TOKENS` names, or else the folder `tokens`
/// beside the configuration, which may be missing.
///
/// # Errors
/// When the working directory is gone.
pub fn by_operator() -> Result<PathBuf, TaskError> {
    let absolute = |path: PathBuf| std::path::absolute(&path).map_err(TaskError::file(&path));
    if let Some(folder) = std::env::var_os(TOKENS) {
        return absolute(folder.into());
    }
    let config = std::env::var_os(CONFIG).map_or_else(|| workspace::root().join("gateway.toml"), PathBuf::from);
    Ok(absolute(config)?.with_file_name("tokens"))
}

/// The tables in `folder`, in the order of their names; none when there is no such folder.
///
/// # Errors
/// When it cannot be read.
pub fn tables_in(folder: &Path) -> Result<Vec<PathBuf>, TaskError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(TaskError::file(folder))?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(TaskError::file(folder))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == TABLE));
    paths.sort();
    Ok(paths)
}

/// Puts the tables of `folder` into the folder of a Worker that was just built, in place of others, as modules that its
/// script imports.
///
/// # Errors
/// When a file cannot be read or written.
pub fn into_worker(folder: &Path, worker: &Path) -> Result<(), TaskError> {
    for old in tables_in(worker)? {
        std::fs::remove_file(&old).map_err(TaskError::file(&old))?;
    }
    let mut names = Vec::new();
    for table in tables_in(folder)? {
        let name = table.file_name().unwrap_or_default();
        std::fs::copy(&table, worker.join(name)).map_err(TaskError::file(&table))?;
        names.push(name.to_string_lossy().into_owned());
    }
    let script = worker.join("index.js");
    let text = workspace::read(&script)?;
    workspace::write(&script, declaration(&names) + &text)
}

/// The declaration of `tokenTables`, which the adapter's script expects: an object of the files' contents by their names
/// without the extension.
fn declaration(files: &[String]) -> String {
    let mut imports = String::new();
    let mut fields = String::new();
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_suffix(TABLE).and_then(|name| name.strip_suffix('.'));
        let [key, path] = [name.unwrap_or(file).to_owned(), format!("./{file}")].map(serde_json::Value::from);
        // Writing to a string cannot fail.
        let _ = writeln!(imports, "import tokenTable{number} from {path};");
        let _ = write!(fields, "{key}: tokenTable{number}, ");
    }
    format!("{imports}const tokenTables = {{ {fields}}};\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_imports_its_tables() {
        assert_eq!(declaration(&[]), "const tokenTables = { };\n");
        assert_eq!(
            declaration(&["qwen2.5.tokens".to_owned(), "a\"b.tokens".to_owned()]),
            r#"import tokenTable0 from "./qwen2.5.tokens";
import tokenTable1 from "./a\"b.tokens";
const tokenTables = { "qwen2.5": tokenTable0, "a\"b": tokenTable1, };
"#
        );
    }
}
