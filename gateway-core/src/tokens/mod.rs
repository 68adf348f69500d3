//! How many tokens a request takes, told before an engine is asked: exactly, where the deployment carries the model's
//! table, and by an estimate with a known error, where it does not.

#[cfg(feature = "compile")]
pub mod compile;
mod correction;
mod count;
mod encode;
mod estimate;
mod model_corrections;
mod output_counter;
mod output_terms;
mod recent_tenants;
mod scripts;
mod streaming_count;
mod table;
mod tables;
pub mod template;
mod uncorrected;

pub use correction::{Correction, Observed};
pub use count::{Basis, Count, Measured, Prompts, Unmeasured, count_of_estimate, prompts};
pub use estimate::{Estimate, Estimator};
pub use model_corrections::{Lesson, ModelCorrections, Reports};
pub use output_counter::OutputCounter;
pub use output_terms::{OutputPolicy, OutputTerms};
pub use recent_tenants::RecentTenants;
pub use scripts::Scripts;
pub use streaming_count::StreamingCount;
pub use table::{ChatSource, Table, TableError, Wrapping};
pub use tables::{TABLE_EXTENSION, Tables, Tokenizer};
pub use uncorrected::Uncorrected;
