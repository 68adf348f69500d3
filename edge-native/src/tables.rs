//! The token tables that this process counts with: the files `NAME.tokens` of one folder. They are read and opened
//! when the process starts, so that a damaged one is found then; one that changes later is not read again.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use thiserror::Error;
use tidegate_core::tokens::{TABLE_EXTENSION, TableError, Tables};

/// Why the tables could not be read.
#[derive(Debug, Error)]
pub enum TablesError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file's name is not Unicode: no configuration could name it.
    #[error("{} has a name that is not UTF-8", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A file is no sound table.
    #[error("{}: {reason}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: TableError,
    },
}

/// The tables in `folder`, or, where none was asked for, in the folder `tokens` beside the configuration, which may be
/// missing.
///
/// # Errors
/// When the folder or a table in it cannot be read or is damaged.
pub fn read(folder: Option<&Path>, config: &Path) -> Result<Tables, TablesError> {
    match folder {
        Some(folder) => tables_in(folder),
        None => beside(config).map_or_else(|| Ok(Tables::default()), |folder| tables_in(&folder)),
    }
}

/// The folder `tokens` beside the configuration, if there is one.
pub fn beside(config: &Path) -> Option<PathBuf> {
    Some(config.with_file_name(BESIDE_CONFIG)).filter(|folder| folder.is_dir())
}

fn tables_in(folder: &Path) -> Result<Tables, TablesError> {
    let mut tables = Tables::default();
    let entries = std::fs::read_dir(folder).map_err(at(folder))?;
    for entry in entries {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_none_or(|extension| extension != TABLE_EXTENSION) {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let name = name.ok_or_else(|| TablesError::Name { path: path.clone() })?;
        let file = Bytes::from(std::fs::read(&path).map_err(at(&path))?);
        tables.add(name, move || file.clone());
        if let Some(Err(reason)) = tables.get(name) {
            let reason = *reason;
            return Err(TablesError::Table { path, reason });
        }
    }
    Ok(tables)
}

fn at(path: &Path) -> impl Fn(io::Error) -> TablesError {
    move |source| TablesError::Read {
        path: path.to_owned(),
        source,
    }
}

const BESIDE_CONFIG: &str = "tokens";
