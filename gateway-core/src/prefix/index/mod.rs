//! The index of prefixes: rows in the store that tell where a prompt is warm when that is not where its key alone would
//! lead. What a row holds, when one is read and when it is written, and what a process remembers of rows, all without a
//! store: the pipeline reads and writes.

mod memory;
mod replica_id;
mod row;
mod row_key;
mod update;

pub use memory::{IndexMemory, Known};
pub use replica_id::ReplicaId;
pub use row::{Place, Row};
pub use row_key::RowKey;
pub use update::{Served, updated};
