//! What engines say of themselves, as it is told to the cell of their cluster, and whose turn it is to ask them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::permit::Capacity;
use crate::ids::{ReplicaName, Tokens};

/// What an engine says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFigures {
    /// Requests that it computes.
    pub running: u32,
    /// Requests that wait inside of it.
    pub waiting: u32,
    /// How full its kv_cache is; `None` where it does not tell.
    pub kv_used: Option<KvUsed>,
}

/// The share of a kv_cache that is taken, in parts of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KvUsed(u32);

impl KvUsed {
    /// Of a share from 0 to 1; `None` of any other number.
    pub fn of_share(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self((share * 1e6) as u32))
    }

    /// As a share from 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// How much of a kv_cache of that size it is.
    pub fn of(self, tokens: Tokens) -> Tokens {
        let used = u128::from(tokens.0) * u128::from(self.0) / 1_000_000;
        u64::try_from(used).map_or(tokens, Tokens)
    }
}

/// Asks whether it is the asker's turn to ask a cluster's engines what they say of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskForTurn {
    /// How long after this turn's beginning the next one may begin.
    pub every: Duration,
    /// How long the asker has for this one: nobody else gets the turn until then, or until it has told.
    pub lasts: Duration,
}

/// What is replied to [`AskForTurn`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollTurn {
    /// The turn's number, where it is the asker's.
    pub turn: Option<u64>,
    /// In how long it pays to ask for the next one.
    pub next_in: Duration,
}

/// What a cluster's engines have said to whom the turn was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellSignals {
    /// The turn's number.
    pub turn: u64,
    /// How long after the turn's beginning it is believed.
    pub ttl: Duration,
    /// What was read, by replica; those are left out that said nothing to be believed.
    pub read: Vec<(ReplicaName, EngineFigures)>,
}

/// What an engine has said last, and how old that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// What it said.
    pub figures: EngineFigures,
    /// Time since somebody began to ask.
    pub age: Duration,
    /// Whether it is believed still.
    pub is_fresh: bool,
}

/// How a cluster's cell stands with what its engines say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalState {
    /// Whether somebody should ask the engines.
    pub is_due: bool,
    /// How many replicas it knows nothing fresh of.
    pub stale: u32,
}

/// What runs at a replica beyond what the cell gave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Foreign {
    /// How much that is.
    pub load: Capacity,
    /// Whether it waits inside of the engine.
    pub waits: bool,
}
