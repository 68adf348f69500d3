//! Why a request went where it went: a record of each, folded from the events that are told in its course, and the latest of
//! them. A record holds names, figures and reasons; never a prompt, an answer, a key, or an engine's words, which may quote one.

mod cut;
mod failed;
mod fold;
mod kept;
mod millis;
mod outcome;
mod record;
mod step;
mod weighed;

pub use cut::HEADER_BYTES;
pub use failed::Failed;
pub use kept::{Filter, KeptRecord, KeptRecords, Most};
pub use millis::Millis;
pub use outcome::{Outcome, words};
pub use record::{Asked, BudgetSaid, DecisionRecord};
pub use step::{Ranked, Step, What};
pub use weighed::WeighedHere;
