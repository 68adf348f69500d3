//! How many tokens a request takes, told before an engine is asked: exactly, where the deployment carries the model's
//! table, and by an estimate with a known error, where it does not.

mod count;
mod estimate;
mod output;
mod placeholder;
mod scripts;
mod tables;

pub use count::{Basis, Count, Encoded, Measured, Unmeasured, encode, estimate, likely, measure};
pub use estimate::{Correction, Estimate, Observed};
pub use output::Output;
pub use placeholder::{ChatSource, Running, Table, TableError, Wrapping, template};
pub use scripts::Scripts;
pub use tables::{TABLE_EXTENSION, Tables, Tokenizer};
