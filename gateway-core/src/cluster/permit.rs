//! Permits: what requests hold of a replica while they run there.

use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::signals::SignalState;
use crate::ids::{ReplicaName, Tokens};

/// A permit's name, drawn at random by the hop that asks for it, so that asking twice cannot hold twice. A permit is for
/// one request, or for as many at once as it has slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PermitId(pub u64);

/// Room at one replica: all of it, or what a permit has of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Requests at once.
    #[serde(rename = "places")]
    pub requests: u32,
    /// Tokens of kv_cache.
    pub kv_tokens: Tokens,
}

impl Capacity {
    /// More than any permit has.
    pub const MOST: Self = Self {
        requests: u32::MAX,
        kv_tokens: Tokens(u64::MAX),
    };

    /// What one request takes.
    pub fn of_one(kv_tokens: Tokens) -> Self {
        Self { requests: 1, kv_tokens }
    }

    /// What of a replica's room is open to requests from which a part, in percent, is kept: for one at least.
    pub fn open_to(self, headroom_percent: u8) -> Self {
        let open = 100 - u64::from(headroom_percent.min(100));
        let requests = u64::from(self.requests) * open / 100;
        let kv_tokens = u128::from(self.kv_tokens.0) * u128::from(open) / 100;
        Self {
            requests: u32::try_from(requests.max(1)).unwrap_or(self.requests),
            kv_tokens: u64::try_from(kv_tokens).map_or(self.kv_tokens, Tokens),
        }
    }

    /// That many times as much.
    pub fn times(self, factor: u32) -> Self {
        Self {
            requests: self.requests.saturating_mul(factor),
            kv_tokens: Tokens(self.kv_tokens.0.saturating_mul(factor.into())),
        }
    }

    /// How many times `part` fits into it.
    pub fn count_of(self, part: Self) -> u32 {
        let slots = self.requests.checked_div(part.requests).unwrap_or(u32::MAX);
        let kv_tokens = self.kv_tokens.0.checked_div(part.kv_tokens.0).unwrap_or(u64::MAX);
        slots.min(u32::try_from(kv_tokens).unwrap_or(u32::MAX))
    }

    /// What is left of it without `part`; nothing of what `part` has more of.
    pub fn without(self, part: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(part.requests),
            kv_tokens: Tokens(self.kv_tokens.0.saturating_sub(part.kv_tokens.0)),
        }
    }

    /// As much of it as there is room for.
    pub fn at_most(self, room: Self) -> Self {
        Self {
            requests: self.requests.min(room.requests),
            kv_tokens: self.kv_tokens.min(room.kv_tokens),
        }
    }

    /// The most of both, of requests and of tokens.
    pub fn most_of(self, other: Self) -> Self {
        Self {
            requests: self.requests.max(other.requests),
            kv_tokens: self.kv_tokens.max(other.kv_tokens),
        }
    }

    /// Whether `part` fits into it.
    pub fn holds(self, part: Self) -> bool {
        part.requests <= self.requests && part.kv_tokens <= self.kv_tokens
    }
}

impl Add for Capacity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            kv_tokens: self.kv_tokens + other.kv_tokens,
        }
    }
}

/// A permit as its holder knows it: enough for a cell that has forgotten it to take it up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldPermit {
    /// The permit's name.
    pub permit: PermitId,
    /// Where its requests run.
    pub replica: ReplicaName,
    /// What it holds there.
    #[serde(rename = "share")]
    pub capacity: Capacity,
}

impl ClusterLoad {
    /// Whether one more request would find room, as far as these figures tell.
    pub fn has_room(&self) -> bool {
        self.running < self.max_running && self.expected_wait.is_zero()
    }
}

/// How the request that held a permit ended, as far as the replica is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The replica answered as it should.
    Served,
    /// The replica failed.
    Failed,
    /// It says nothing about the replica: the client left, or its request was wrong.
    Unknown,
}

/// A cluster's load, for hops that choose among clusters: what of its room is taken, by whomever. Replicas whose breaker is
/// open are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLoad {
    /// Requests in flight.
    pub running: u32,
    /// Requests that fit at once; 0 when every replica is out.
    pub max_running: u32,
    /// kv_cache held, in tokens.
    pub kv_tokens: Tokens,
    /// kv_cache in all, in tokens.
    pub kv_cache_tokens: Tokens,
    /// How long a request that came now would wait for its turn; nothing as long as nobody waits.
    #[serde(default)]
    pub expected_wait: Duration,
    /// How the cell stands with what the engines say.
    #[serde(default)]
    pub signals: SignalState,
}
