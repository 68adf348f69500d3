//! Which replica a request goes to, and what is told of that: the words of the choice. The rule is in `cost`, the order
//! that an affinity has without any knowledge in `rendezvous`.

mod cost;
mod rendezvous;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(super) use self::cost::{Candidate, CostParts, Placement, choose};
pub(super) use self::rendezvous::{first_choice, first_of, first_weighed, weights};
use super::permit::Capacity;
use crate::ids::Tokens;

/// How a replica stands to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It can take the request; what it holds now.
    Free(Capacity),
    /// It cannot.
    Passed(Hindrance),
}

impl Standing {
    /// Of a replica with that capacity, of which so much is held. It can take a request when one more and `kv_tokens` fit.
    /// A request larger than any replica's whole kv_cache fits into an idle one: the engine itself must refuse it, with
    /// its own words.
    pub fn within(capacity: Capacity, held: Capacity, kv_tokens: Tokens) -> Self {
        let fits = held.requests < capacity.requests
            && (held.requests == 0 || held.kv_tokens + kv_tokens <= capacity.kv_tokens);
        if fits {
            Self::Free(held)
        } else {
            Self::Passed(Hindrance::Full)
        }
    }

    /// Why it cannot; `None` where it can.
    pub fn hindrance(self) -> Option<Hindrance> {
        match self {
            Self::Free(_) => None,
            Self::Passed(hindrance) => Some(hindrance),
        }
    }
}

/// What stands between a request and a replica, in full: what is told of it in short is an [`Obstacle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hindrance {
    /// It has no room for the request.
    Full,
    /// What is queued there, and not computed yet, keeps it for too long.
    Behind,
    /// What room it has is for requests that have waited for longer.
    OthersFirst,
    /// Something that others have sent there waits inside of its engine.
    WaitsInside,
    /// Its breaker is open, or a probe is on its way.
    Open,
    /// The request has failed there already.
    Tried,
    /// An operator has it drain.
    Draining,
}

impl Hindrance {
    /// The same in short.
    pub fn obstacle(self) -> Obstacle {
        match self {
            Self::Full | Self::Behind | Self::OthersFirst | Self::WaitsInside => Obstacle::Full,
            Self::Open => Obstacle::Open,
            Self::Tried => Obstacle::Tried,
            Self::Draining => Obstacle::Draining,
        }
    }
}

/// Why a replica does not get a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// It has no room for it.
    Full,
    /// Its breaker is open, or a probe is on its way.
    Open,
    /// The request has failed there already.
    Tried,
    /// An operator has it drain.
    Draining,
}

/// What a replica has of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Warmth {
    /// So many tokens from its beginning on.
    pub tokens: Tokens,
    /// How that is known.
    pub basis: Basis,
}

impl Warmth {
    /// Takes what is more.
    pub fn raise(&mut self, other: Self) {
        if other.tokens > self.tokens || (other.tokens == self.tokens && other.basis == Basis::Known) {
            *self = other;
        }
    }
}

/// How it is known what a replica has of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It served a request before this one of the same conversation.
    Known,
    /// It served others that begin alike.
    Shared,
    /// The affinity leads there, and the conversation has an answer in it.
    Presumed,
    /// Nothing speaks for it.
    #[default]
    Nothing,
}

/// The replica to take, why, and what to expect there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// As an index into the replicas.
    pub replica: usize,
    pub reason: ChoiceReason,
    /// What of the prompt should be in its memory.
    pub warm: Tokens,
    /// In how long it should answer.
    pub first_token_in: Duration,
}

/// Why a replica was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceReason {
    /// It served the conversation before, and has most of the prompt in memory.
    Warm,
    /// Nobody has more of the prompt than it has of others that begin alike.
    Shared,
    /// It is the first in the affinity's order, and an earlier request of the conversation should have gone there.
    Presumed,
    /// It is the first in the affinity's order, and nothing of the prompt is known to be in memory anywhere.
    First,
    /// It answers soonest, by so many milliseconds before the one that has most of the prompt or is first in the order.
    Cheaper(u32),
    /// It answers soonest, and has to compute a prefix that so many share that it should be in memory at one replica more.
    Spread,
    /// The one that it would be has this against it, and this is the next.
    Next(Obstacle),
    /// It answers soonest, and the request has no prefix to keep warm.
    NoAffinity,
    /// All replicas are out, and this is the one that is tried first.
    Degraded,
}

impl ChoiceReason {
    /// One word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Shared => "shared",
            Self::Presumed => "presumed",
            Self::First => "first",
            Self::Cheaper(_) => "cheaper",
            Self::Spread => "spread",
            Self::Next(Obstacle::Full) => "next_full",
            Self::Next(Obstacle::Open) => "next_open",
            Self::Next(Obstacle::Tried) => "next_tried",
            Self::Next(Obstacle::Draining) => "next_draining",
            Self::NoAffinity => "no_affinity",
            Self::Degraded => "degraded",
        }
    }
}

/// How many replicas could not take a request, by why not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// They have no room for it.
    pub full: u32,
    /// Their breakers are open.
    pub open: u32,
    /// It has failed there already.
    pub tried: u32,
    /// They drain.
    #[serde(default)]
    pub draining: u32,
}

impl PassedOver {
    fn of(standings: impl IntoIterator<Item = Standing>) -> Self {
        let mut passed = Self::default();
        for standing in standings {
            let Standing::Passed(hindrance) = standing else {
                continue;
            };
            match hindrance.obstacle() {
                Obstacle::Full => passed.full += 1,
                Obstacle::Open => passed.open += 1,
                Obstacle::Tried => passed.tried += 1,
                Obstacle::Draining => passed.draining += 1,
            }
        }
        passed
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            full,
            open,
            tried,
            draining,
        } = self;
        write!(f, "{full} full, {open} with an open breaker, {tried} tried")?;
        match draining {
            0 => Ok(()),
            draining => write!(f, ", {draining} draining"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_takes_what_fits_and_a_giant_when_it_is_idle() {
        let holding = |requests, kv_tokens| Capacity {
            requests,
            kv_tokens: Tokens(kv_tokens),
        };
        let capacity = holding(2, 100);
        let stands = |held, kv_tokens| Standing::within(capacity, held, Tokens(kv_tokens));
        assert_eq!(stands(holding(1, 60), 40), Standing::Free(holding(1, 60)));
        assert_eq!(stands(holding(1, 61), 40), Standing::Passed(Hindrance::Full));
        assert_eq!(stands(holding(2, 0), 1), Standing::Passed(Hindrance::Full));
        assert_eq!(stands(holding(0, 0), 1_000), Standing::Free(holding(0, 0)));
    }
}
