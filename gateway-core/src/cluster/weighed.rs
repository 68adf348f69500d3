//! What a cell weighed where it placed a request, for whoever asks why it went where it went: each replica as that request
//! saw it. It is told only where it was asked for, and decides nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::BreakerStanding;
use super::choice::{Basis, Hindrance};
use super::permit::Capacity;
use super::signals::Signal;
use crate::ids::{ReplicaName, Tokens};

/// The replicas that a cell weighed, the ones that would have answered soonest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    /// No more than [`Weighed::MOST`] of them.
    pub replicas: Vec<WeighedReplica>,
    /// How many more there were.
    pub left_out: u32,
}

/// A replica as one request saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeighedReplica {
    /// Which.
    pub replica: ReplicaName,
    /// Why it could not have the request; `None` where it could.
    pub hindrance: Option<Hindrance>,
    /// In how long it was to begin to answer, by which replicas are compared; `None` where it could not have the request.
    pub first_token_in: Option<Duration>,
    /// The part of that for prompts which were sent there before and are not computed yet,
    pub queued: Duration,
    /// which are so many uncached tokens.
    pub queued_tokens: Tokens,
    /// The part for the request's own tokens that are not in its memory,
    pub prefill: Duration,
    /// which are so many.
    pub uncached: Tokens,
    /// The part for a step of what it decodes meanwhile.
    pub step: Duration,
    /// Uncached prompt tokens that it is taken to compute in a second.
    pub tokens_per_s: u32,
    /// What of the prompt should be in its memory,
    pub warm: Tokens,
    /// and how that is known.
    pub basis: Basis,
    /// What it held, as the cell has counted.
    pub held: Capacity,
    /// What others have sent there, as far as its engine tells.
    pub foreign: Capacity,
    /// What there was room for in all, for a request of that priority.
    pub room: Capacity,
    /// How its breaker stood.
    pub breaker: BreakerStanding,
    /// In how long that was to let a request pass, where it was not closed.
    pub breaker_passes_in: Option<Duration>,
    /// What its engine had said last.
    pub signal: Option<Signal>,
}

impl Weighed {
    /// No more replicas are told of: with 500 bytes each that is 32 KB of a reply, as much as one may bring that is waited for.
    pub const MOST: usize = 64;

    /// Of all replicas, in any order.
    pub(super) fn of(mut replicas: Vec<WeighedReplica>) -> Self {
        replicas.sort_by_key(|weighed| (weighed.first_token_in.is_none(), weighed.first_token_in));
        let left_out = replicas.len().saturating_sub(Self::MOST);
        replicas.truncate(Self::MOST);
        Self {
            replicas,
            left_out: u32::try_from(left_out).unwrap_or(u32::MAX),
        }
    }
}
