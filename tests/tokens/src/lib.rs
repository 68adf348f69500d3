//! What the tests of the token counter share: real tables with the reference of each, and the corpus.
//!
//! `cargo xtask test` makes both and says where they are:
//! `TIDEGATE_TOKENS` is a folder with `NAME.tokens` and `sources/NAME/tokenizer.json` for each tokenizer;
//! `TIDEGATE_CORPUS` is one with a file of JSON lines per class of texts (`corpus/make.py`), and in `python/NAME/` what
//! Python's `tokenizers` makes of them (`oracle/count.py`).

mod corpus;
mod sealed;
mod small;
mod tokenizer;

pub use corpus::{Class, Expected, Sample, classes, oracle, unassigned};
pub use sealed::sealed;
pub use small::{byte_characters, small_tokenizer};
pub use tokenizer::{Tokenizer, digest, digest_of_ids, reference_errs, tokenizers};
