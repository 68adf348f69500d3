//! What can be wrong with a table's file.

/// Why a file is not opened as a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// It is something else, or empty.
    #[error("this is no token table; `tidegate tokens compile` makes one of a tokenizer.json")]
    NoTable,
    /// Another version of Tidegate made it.
    #[error(
        "this token table has format {found}, and this version of Tidegate reads format {known}; \
         compile it anew with `tidegate tokens compile`"
    )]
    OtherVersion {
        /// The file's format.
        found: u32,
        /// The one that is read here.
        known: u32,
    },
    /// It was cut or changed on its way.
    #[error("this token table is damaged: {what}; copy it or compile it again")]
    Damaged {
        /// In what way.
        what: &'static str,
    },
}
