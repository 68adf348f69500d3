//! Faults that tests switch on while the engine runs: `POST`, `GET` and `DELETE /sim/faults`.
//!
//! A fault is a JSON object (or a list of them) with `kind` and that kind's fields (see [`Fault`]), and
//!
//! | field | meaning | default |
//! |---|---|---|
//! | `match` | only requests whose raw body contains this text | all |
//! | `path` | only requests for exactly this path, `/metrics` and `/health` included | chat, completions, embeddings |
//! | `count` | after so many hits the fault is gone | never |
//! | `probability` | how likely it hits a request that it applies to, 0 to 1, drawn from the engine's seed | 1 |
//!
//! A request may be hit by several faults; of two that contradict each other the older one counts. The answer to `POST`
//! and `GET` is `{"faults":[…]}`, each with its `id`; `DELETE /sim/faults/ID` takes one away, `DELETE /sim/faults` all.

mod framing;
mod kind;
mod rules;

pub(super) use framing::Framer;
pub use kind::Fault;
pub(super) use kind::{Break, DrawnFaults, OUT_OF_MEMORY, simulated};
pub(super) use rules::{FaultRules, RuleError};
