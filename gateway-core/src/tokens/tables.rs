//! The tokenizers that a deployment carries, by the names that `gateway.toml` uses. An adapter fills the set before
//! the gateway is made; nothing is added later, and nothing here reads a file.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::template::{ChatTemplate, TemplateError};
use super::{Table, TableError};

/// The tables of a deployment. `NAME.tokens` is there under `NAME`.
#[derive(Clone, Default)]
pub struct Tables(BTreeMap<String, Arc<Entry>>);

/// A table, opened when a request first needs it: an isolate or instance that counts nothing pays nothing for it.
struct Entry {
    file: File,
    open: fn(Bytes) -> Result<Table, TableError>,
    opened: OnceLock<Result<Tokenizer, TableError>>,
}

type File = Box<dyn Fn() -> Bytes + Send + Sync>;

/// An opened table with its chat template.
pub struct Tokenizer {
    table: Table,
    /// Compiled when the first chat needs it.
    template: OnceLock<Option<Result<ChatTemplate, TemplateError>>>,
}

impl Tables {
    /// Adds a table under `name`, in place of one that has the name already. `file` is asked once for its content,
    /// when the table is first needed.
    pub fn add(&mut self, name: &str, file: impl Fn() -> Bytes + Send + Sync + 'static) {
        self.insert(name, Box::new(file), Table::open);
    }

    /// The same for a file that was checked when the gateway was built.
    pub fn add_bundled(&mut self, name: &str, file: impl Fn() -> Bytes + Send + Sync + 'static) {
        self.insert(name, Box::new(file), Table::open_bundled);
    }

    fn insert(&mut self, name: &str, file: File, open: fn(Bytes) -> Result<Table, TableError>) {
        let entry = Entry {
            file,
            open,
            opened: OnceLock::new(),
        };
        self.0.insert(name.to_owned(), Arc::new(entry));
    }

    /// The names of all tables, in order.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The tokenizer of that name, opened if it was not; `None` where the deployment has none.
    ///
    /// # Errors
    /// When the file is no sound table.
    pub fn get(&self, name: &str) -> Option<Result<&Tokenizer, &TableError>> {
        let Entry { file, open, opened } = &**self.0.get(name)?;
        let open = || open(file()).map(Tokenizer::of);
        Some(opened.get_or_init(open).as_ref())
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Tokenizer {
    /// Opens a table's file.
    ///
    /// # Errors
    /// When it is no sound table.
    pub fn open(file: impl Into<Bytes>) -> Result<Self, TableError> {
        Table::open(file).map(Self::of)
    }

    fn of(table: Table) -> Self {
        Self {
            table,
            template: OnceLock::new(),
        }
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The chat template, compiled; `None` where the table has none.
    ///
    /// # Errors
    /// When it cannot be compiled here.
    pub fn template(&self) -> Option<Result<&ChatTemplate, &TemplateError>> {
        let compile = || {
            let source = self.table.chat()?;
            let special_tokens = source
                .special_tokens
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str()));
            Some(ChatTemplate::compile(source.template, special_tokens, source.content))
        };
        self.template.get_or_init(compile).as_ref().map(Result::as_ref)
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").finish_non_exhaustive()
    }
}

/// What the name of a table's file ends in.
pub const TABLE_EXTENSION: &str = "tokens";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_file_is_asked_for_once_and_not_before_it_is_needed() {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        let mut tables = Tables::default();
        tables.add("broken", move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Bytes::from_static(b"no table")
        });
        assert_eq!(tables.names(), ["broken"]);
        assert!(tables.get("other").is_none());
        assert_eq!(asked.load(Ordering::Relaxed), 0, "before it is needed");
        for _ in 0..2 {
            assert!(tables.get("broken").is_some_and(|opened| opened.is_err()));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1, "once");
    }
}
