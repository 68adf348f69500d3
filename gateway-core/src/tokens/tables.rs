//! The tokenizers that a deployment carries, by the names that `gateway.toml` uses. An adapter fills the set before
//! the gateway is made; nothing is added later, and nothing here reads a file.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::placeholder::{ChatTemplate, Table, TableError, TemplateError};

/// The tables of a deployment. `NAME.tokens` is there under `NAME`.
#[derive(Clone, Debug, Default)]
pub struct Tables(BTreeMap<String, Option<Arc<Tokenizer>>>);

/// An opened table with its chat template.
pub struct Tokenizer {
    table: Table,
    /// Compiled when the first chat needs it.
    template: OnceLock<Option<Result<ChatTemplate, TemplateError>>>,
}

impl Tables {
    /// Opens a table and adds it under `name`, in place of one that has the name already.
    ///
    /// # Errors
    /// When the bytes are no sound table. The name is known then all the same, so that a configuration which uses it
    /// stays sound, and its models are counted by estimate.
    pub fn add(&mut self, name: &str, bytes: Bytes) -> Result<(), TableError> {
        let opened = Table::open(bytes);
        let (tokenizer, result) = match opened {
            Ok(table) => (Some(Arc::new(Tokenizer::new(table))), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.0.insert(name.to_owned(), tokenizer);
        result
    }

    /// The names of all tables, also of those that could not be opened, in order.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The tokenizer of that name; `None` where the deployment has none, or could not open it.
    pub fn get(&self, name: &str) -> Option<&Arc<Tokenizer>> {
        self.0.get(name)?.as_ref()
    }
}

impl Tokenizer {
    fn new(table: Table) -> Self {
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
            Some(ChatTemplate::compile(source.template, &source.special_tokens))
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
