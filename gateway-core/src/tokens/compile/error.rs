//! Why a tokenizer cannot become a table.

/// What is wrong with a tokenizer, or what in it a table cannot represent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A file is not what its name says.
    #[error("{file} cannot be read: {detail}")]
    Unreadable {
        /// Which file.
        file: &'static str,
        /// What the parser says.
        detail: String,
    },
    /// A part of the tokenizer is of a kind that tables do not know.
    #[error("`{part}` is {found}; a table can hold {known}")]
    Unknown {
        /// Where in tokenizer.json.
        part: &'static str,
        /// What stands there.
        found: String,
        /// What may stand there.
        known: &'static str,
    },
    /// An added token has a property that tables do not know.
    #[error("the added token {token:?} {what}, which a table cannot represent")]
    AddedToken {
        /// Its text.
        token: String,
        /// The property.
        what: &'static str,
    },
    /// A byte is no token by itself, so that there is text which the tokenizer cannot encode.
    #[error("the byte {byte:#04x} is not in `model.vocab`; a table needs all 256")]
    MissingByte {
        /// Which one.
        byte: u8,
    },
    /// A merge makes something that is not in the vocabulary.
    #[error("`model.merges` makes {left:?} and {right:?} a token that is not in `model.vocab`")]
    StrayMerge {
        /// The left part, as written.
        left: String,
        /// The right part, as written.
        right: String,
    },
    /// The order of merges is not the order of the ids of what they make.
    #[error(
        "`model.merges` makes token {id} after token {before}: a table takes a token's id for its rank, so that merges \
         must stand in the order of the ids that they make"
    )]
    MergeOrder {
        /// The id that is made too late.
        id: u32,
        /// The greater id that is made before.
        before: u32,
    },
    /// A token is too long or has too great an id.
    #[error("token {id} is {bytes} bytes long; a table holds ids up to {max_id} and tokens up to {max_bytes} bytes")]
    TooLarge {
        /// Its id.
        id: u32,
        /// Its length.
        bytes: usize,
        /// The greatest id.
        max_id: u32,
        /// The greatest length.
        max_bytes: usize,
    },
    /// The tokenizer has several chat templates, and none of them is chosen.
    #[error("tokenizer_config.json has the chat templates {names}; choose one with --chat-template FILE")]
    SeveralTemplates {
        /// Their names.
        names: String,
    },
    /// No arrangement of the tokens was found.
    #[error("the {tokens} tokens of {length} bytes could not be arranged; please report this tokenizer")]
    Unarranged {
        /// How many tokens there are of this length.
        tokens: usize,
        /// In bytes.
        length: usize,
    },
    /// The details could not be written.
    #[error("the table's details could not be written: {detail}")]
    Details {
        /// What the encoder says.
        detail: String,
    },
}
