//! How many tokens a request takes, told before an engine is asked: exactly, where the deployment carries the model's
//! table, and by an estimate with a known error, where it does not.

mod count;
mod estimate;
mod placeholder;
mod running;
mod scripts;
mod tables;

pub use count::{Basis, Count, Encoded, Measured, Unmeasured, encode, estimate, likely, measure};
pub use estimate::{Correction, Estimate, Observed};
pub use placeholder::{Chat, ChatSource, ChatTemplate, Rendered, Table, TableError, TemplateError, Wrapping};
pub use running::Running;
pub use scripts::Scripts;
pub use tables::{TABLE_EXTENSION, Tables, Tokenizer};
