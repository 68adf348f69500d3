//! Cells: where shared state is exact. A cell is a small state machine that the runtime runs one command at a time;
//! what kinds there are, how they are addressed, and how they and their messages are written down.

pub mod append_batch;
pub mod log;
pub mod redis;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::budget::{BudgetCell, BudgetCommand, BudgetReply};
use crate::cluster::{ClusterCell, ClusterCommand, ClusterReply};
use crate::geo::Coordinates;
use crate::ids::{BudgetId, ClusterName, ModelName};
use crate::time::Timestamp;
use crate::tokens::{Correction, Observed};

/// Which cell, and where on Earth it is best kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CellAddress {
    /// What the cell is for.
    pub id: CellId,
    /// Where the traffic that matters to it is: the cluster's region.
    pub near: Coordinates,
}

/// A cell's identity: its kind and the name of what it keeps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellId {
    /// In-flight requests and kv_cache of one cluster.
    Cluster(ClusterName),
    /// What engines' reports have taught about the tokens of one model.
    Estimate(ModelName),
    /// What a tenant may use of a group of models.
    Budget(BudgetId),
}

impl CellId {
    /// The identity as one string, `kind/name`, for runtimes that address cells by string.
    pub fn key(&self) -> String {
        match self {
            Self::Cluster(name) => format!("cluster/{name}"),
            Self::Estimate(model) => format!("estimate/{model}"),
            Self::Budget(id) => format!("budget/{id}"),
        }
    }

    /// The identity that `key` was made from, or `None` where it names no kind of this version.
    pub fn from_key(key: &str) -> Option<Self> {
        match key.split_once('/')? {
            ("cluster", name) if !name.is_empty() => Some(Self::Cluster(name.into())),
            ("estimate", model) if !model.is_empty() => Some(Self::Estimate(model.into())),
            ("budget", names) => match names.split_once('/')? {
                (tenant, name) if !tenant.is_empty() && !name.is_empty() => Some(Self::Budget(BudgetId {
                    tenant: tenant.into(),
                    name: name.into(),
                })),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A command to a cell of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellCommand {
    /// To a cluster cell.
    Cluster(ClusterCommand),
    /// To a model's estimate: learn from these reports. Empty ones only ask.
    Estimate(Observed),
    /// To a budget cell.
    Budget(BudgetCommand),
}

impl CellCommand {
    /// The reply to a command that only tells the cell something: it is known beforehand, so that such a command can
    /// wait a moment for company. `None` where the reply says something.
    pub fn reply_to_come(&self) -> Option<CellReply> {
        match self {
            Self::Cluster(ClusterCommand::Release { .. } | ClusterCommand::Renew { .. }) => {
                Some(CellReply::Cluster(ClusterReply::Done))
            }
            Self::Budget(BudgetCommand::Settle(_)) => Some(CellReply::Budget(BudgetReply::Done)),
            Self::Cluster(ClusterCommand::Acquire(_) | ClusterCommand::Extend(_) | ClusterCommand::Status)
            | Self::Estimate(_)
            | Self::Budget(BudgetCommand::Lease(_) | BudgetCommand::Status { .. } | BudgetCommand::SetLimits(_)) => {
                None
            }
        }
    }
}

/// Why a cell did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CellError {
    /// The runtime could not reach the cell.
    #[error("cell unreachable: {0}")]
    Unreachable(String),
    /// Another version's record or message, or a damaged one.
    #[error("cell record or message not understood: {0}")]
    Malformed(String),
}

/// A cell's reply to a command of its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellReply {
    /// From a cluster cell.
    Cluster(ClusterReply),
    /// From a model's estimate: what holds now.
    Estimate(Correction),
    /// From a budget cell.
    Budget(BudgetReply),
    /// The command is for cells of another kind; nothing was done.
    AnotherKind,
}

/// The state of a cell of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// Of a cluster cell.
    Cluster(ClusterCell),
    /// Of a model's estimate.
    Estimate(Correction),
    /// Of a budget cell.
    Budget(Box<BudgetCell>),
}

impl CellState {
    /// A cell that has seen nothing yet.
    pub fn new(id: &CellId) -> Self {
        match id {
            CellId::Cluster(_) => Self::Cluster(ClusterCell::default()),
            CellId::Estimate(_) => Self::Estimate(Correction::default()),
            CellId::Budget(_) => Self::Budget(Box::default()),
        }
    }

    /// Runs one command. The runtime calls it for one command at a time.
    pub fn apply(&mut self, now: Timestamp, command: CellCommand) -> CellReply {
        match (self, command) {
            (Self::Cluster(cell), CellCommand::Cluster(command)) => CellReply::Cluster(cell.apply(now, command)),
            (Self::Estimate(correction), CellCommand::Estimate(observed)) => {
                correction.learn(&observed);
                CellReply::Estimate(*correction)
            }
            (Self::Budget(cell), CellCommand::Budget(command)) => CellReply::Budget(cell.apply(now, command)),
            (Self::Cluster(_), CellCommand::Estimate(_) | CellCommand::Budget(_))
            | (Self::Estimate(_), CellCommand::Cluster(_) | CellCommand::Budget(_))
            | (Self::Budget(_), CellCommand::Cluster(_) | CellCommand::Estimate(_)) => CellReply::AnotherKind,
        }
    }

    /// Whether something of it must survive a restart, where cells live in memory.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Cluster(_) | Self::Estimate(_) => false,
            Self::Budget(_) => true,
        }
    }

    /// What must survive a restart, as a record; `None` for figures of the moment.
    ///
    /// # Errors
    /// Never for states that this crate makes.
    pub fn to_lasting_record(&self) -> Result<Option<Vec<u8>>, CellError> {
        match self {
            Self::Cluster(_) | Self::Estimate(_) => Ok(None),
            Self::Budget(cell) => Self::Budget(Box::new(cell.without_holders())).to_record().map(Some),
        }
    }

    /// The state as a record, for runtimes that keep it outside the process between commands.
    ///
    /// # Errors
    /// Never for states that this crate makes.
    pub fn to_record(&self) -> Result<Vec<u8>, CellError> {
        encode(&RecordOut {
            v: RECORD_VERSION,
            state: self,
        })
    }

    /// The state that a record holds.
    ///
    /// # Errors
    /// When the record is damaged or of a version that this code does not read.
    pub fn from_record(record: &[u8]) -> Result<Self, CellError> {
        let RecordIn { v, state } = decode(record)?;
        if v != RECORD_VERSION {
            return Err(CellError::Malformed(format!(
                "record of version {v}, this code reads {RECORD_VERSION}"
            )));
        }
        decode(state.get().as_bytes())
    }
}

/// A command or reply as bytes, for runtimes whose cells are reached by messages.
///
/// # Errors
/// Never for messages that this crate makes.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, CellError> {
    serde_json::to_vec(message).map_err(|error| CellError::Malformed(error.to_string()))
}

/// The command or reply that `bytes` holds.
///
/// # Errors
/// When the bytes are damaged or of another version's making.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CellError> {
    serde_json::from_slice(bytes).map_err(|error| CellError::Malformed(error.to_string()))
}

/// The version that records are written with; the only one so far.
const RECORD_VERSION: u32 = 1;

#[derive(Serialize)]
struct RecordOut<'a> {
    v: u32,
    state: &'a CellState,
}

/// The state is read once it is known to be of a version that this code reads.
#[derive(Deserialize)]
struct RecordIn<'a> {
    v: u32,
    #[serde(borrow)]
    state: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_as_they_are_written() {
        for id in [
            CellId::Cluster("eu".into()),
            CellId::Estimate("org/model/v1".into()),
            CellId::Budget(BudgetId {
                tenant: "acme".into(),
                name: "chat".into(),
            }),
        ] {
            assert_eq!(CellId::from_key(&id.key()), Some(id));
        }
        for key in [
            "estimate/",
            "estimate",
            "other/eu",
            "budget/acme",
            "budget/acme/",
            "budget//chat",
        ] {
            assert_eq!(CellId::from_key(key), None, "{key}");
        }
    }

    #[test]
    fn a_command_to_another_kind_of_cell_changes_nothing() {
        let now = Timestamp::default();
        let mut cell = CellState::new(&CellId::Estimate("model".into()));
        let before = cell.clone();
        let reply = cell.apply(now, CellCommand::Cluster(ClusterCommand::Status));
        assert_eq!((reply, cell), (CellReply::AnotherKind, before));
    }

    #[test]
    fn an_estimate_is_a_record_like_any_state() {
        let now = Timestamp::default();
        let mut cell = CellState::new(&CellId::Estimate("model".into()));
        let observed = Correction::default().observe(100.0, crate::ids::Tokens(130)).unwrap();
        cell.apply(now, CellCommand::Estimate(observed));
        let record = cell.to_record().unwrap();
        assert_eq!(CellState::from_record(&record), Ok(cell));
        assert!(record.len() < 256, "{}", String::from_utf8_lossy(&record));
    }
}
