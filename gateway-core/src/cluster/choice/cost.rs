//! Which replica answers a request soonest, and whether that is worth leaving the one that has most of its prompt in
//! memory. It goes by what each candidate costs, in time to the first token: what is queued there and not prefilled yet,
//! the part of the prompt that it has to compute, and a step of what it decodes meanwhile. Pure: it sees only what is
//! passed in, and tells why it chose.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Basis, Choice, ChoiceReason, Obstacle, PassedOver, Standing, Warmth};
use crate::ids::Tokens;

/// A replica as one request sees it.
#[derive(Clone, Copy, Debug)]
pub(in crate::cluster) struct Candidate {
    pub standing: Standing,
    /// What it has of the prompt.
    pub warmth: Warmth,
    /// How long it is busy with prompts that were sent there before.
    pub queued: Duration,
    /// Uncached prompt tokens that it computes in a second; at least 1.
    pub tokens_per_s: u32,
    /// When it was last given a prompt of which it had little; a number that grows with each.
    pub last_cold: u64,
}

/// What is to be placed.
#[derive(Clone, Copy, Debug)]
pub(in crate::cluster) struct Placement<'a> {
    /// What the affinity's order goes by, for each of the candidates; `None` without affinity.
    pub weights: Option<&'a [u64]>,
    /// The prompt.
    pub tokens: Tokens,
    /// Requests that one replica runs at once; at least 1.
    pub max_running: u32,
    /// How much later a warm replica may answer than another.
    pub warm_penalty: Duration,
    /// So much of the prompt is worth having in memory at one more replica, and costs nothing therefore.
    pub spread: Option<Tokens>,
}

/// What a candidate costs, by what it is made of; what is queued there is known of the candidate itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) struct CostParts {
    /// All of it; `None` where it cannot take the request.
    pub total: Option<Duration>,
    /// For the tokens of the prompt that are not in its memory,
    pub prefill: Duration,
    /// and for a step of what it decodes meanwhile.
    pub step: Duration,
    /// How many tokens that are.
    pub uncached: Tokens,
}

/// The preferred replica, which is the one that has most of the prompt in memory and, where none has more than others,
/// the first of them in the affinity's order, unless another answers so much sooner that it does not pay; else the one
/// that answers soonest.
///
/// # Errors
/// When none can take the request: why not, each.
pub(in crate::cluster) fn choose(placement: &Placement<'_>, candidates: &[Candidate]) -> Result<Choice, PassedOver> {
    let costs = candidates.iter().map(|candidate| placement.cost(candidate));
    let costs: Vec<Option<u64>> = costs.collect();
    let Some(least) = costs.iter().flatten().min().copied() else {
        return Err(PassedOver::of(candidates.iter().map(|candidate| candidate.standing)));
    };
    let chosen = |replica: usize, reason| {
        Ok(Choice {
            replica,
            reason,
            warm: candidates[replica].warmth.tokens.min(placement.tokens),
            first_token_in: Duration::from_micros(costs[replica].unwrap_or_default()),
        })
    };
    let preferred = placement.preferred(candidates).filter(|_| placement.spread.is_none());
    if let Some((index, first)) = preferred
        && let Some(cost) = costs[index]
        && cost <= least + placement.tolerance(&candidates[index])
    {
        return chosen(index, first.unwrap_or_else(|| candidates[index].warmth.basis.reason()));
    }
    let is_near = |index: &usize| {
        let tie = prefill(TIE, candidates[*index].tokens_per_s);
        costs[*index].is_some_and(|cost| cost <= least + tie)
    };
    let near = (0..costs.len()).filter(is_near);
    let order = |index: &usize| (candidates[*index].last_cold, Reverse(placement.weight(*index)));
    let Some(soonest) = near.min_by_key(order) else {
        return Err(PassedOver::default());
    };
    let reason = match preferred {
        Some((_, Some(first))) => first,
        Some((index, None)) => match (candidates[index].standing, costs[index]) {
            (Standing::Passed(why), _) => ChoiceReason::Next(why.obstacle()),
            (Standing::Free(_), cost) => {
                let saved = cost
                    .unwrap_or_default()
                    .saturating_sub(costs[soonest].unwrap_or_default());
                ChoiceReason::Cheaper(u32::try_from(saved / 1_000).unwrap_or(u32::MAX))
            }
        },
        None if placement.spread.is_some() => ChoiceReason::Spread,
        None => ChoiceReason::NoAffinity,
    };
    chosen(soonest, reason)
}

impl Placement<'_> {
    /// Microseconds until a candidate's first token; `None` where it cannot take the request.
    fn cost(&self, candidate: &Candidate) -> Option<u64> {
        let Standing::Free(held) = candidate.standing else {
            return None;
        };
        let uncached = self.uncached(candidate);
        let queued = u64::try_from(candidate.queued.as_micros()).unwrap_or(u64::MAX);
        let running = u64::from(held.requests.min(self.max_running));
        let step = FULL_STEP * running / u64::from(self.max_running.max(1));
        Some(queued.saturating_add(prefill(uncached.saturating_add(step), candidate.tokens_per_s)))
    }

    /// What of the prompt counts as not being in a candidate's memory.
    fn uncached(&self, candidate: &Candidate) -> u64 {
        let warm = candidate.warmth.tokens.max(self.spread.unwrap_or_default());
        self.tokens.0.saturating_sub(warm.0)
    }

    /// What a candidate costs, by what it is made of.
    pub fn parts(&self, candidate: &Candidate) -> CostParts {
        let total = self.cost(candidate).map(Duration::from_micros);
        let uncached = self.uncached(candidate);
        let prefill = Duration::from_micros(prefill(uncached, candidate.tokens_per_s));
        let computing = total.unwrap_or_default().saturating_sub(candidate.queued);
        CostParts {
            total,
            prefill,
            step: computing.saturating_sub(prefill),
            uncached: Tokens(uncached),
        }
    }

    fn weight(&self, index: usize) -> u64 {
        self.weights.map_or(0, |weights| weights[index])
    }

    /// The replica that has most of the prompt, or is the first in the affinity's order, among those that are not out;
    /// with the reason to tell where that is so only because another one is out. `None` where nothing speaks for any.
    fn preferred(&self, candidates: &[Candidate]) -> Option<(usize, Option<ChoiceReason>)> {
        let order = |index: &usize| {
            let Warmth { tokens, basis } = candidates[*index].warmth;
            // One that others have sent a prompt to may have failed at it.
            (tokens, basis == Basis::Known, self.weight(*index))
        };
        let first = (0..candidates.len()).max_by_key(order)?;
        let is_any = self.weights.is_some() || candidates[first].warmth.tokens > Tokens(0);
        if !is_any {
            return None;
        }
        let Some(why) = candidates[first].standing.is_out() else {
            return Some((first, None));
        };
        let is_in = |index: &usize| candidates[*index].standing.is_out().is_none();
        let next = (0..candidates.len()).filter(is_in).max_by_key(order)?;
        Some((next, Some(ChoiceReason::Next(why))))
    }

    /// By how much a preferred replica may be slower, in microseconds.
    fn tolerance(&self, candidate: &Candidate) -> u64 {
        let warm = candidate.warmth.tokens.min(self.tokens).0;
        let tolerated = match candidate.warmth.basis {
            Basis::Known | Basis::Presumed if warm > 0 => {
                let penalty = u64::try_from(self.warm_penalty.as_micros()).unwrap_or(u64::MAX);
                prefill(warm, candidate.tokens_per_s).saturating_mul(2).min(penalty)
            }
            // What others have as well speaks for none of them.
            Basis::Known | Basis::Presumed | Basis::Shared | Basis::Nothing => {
                let unseen = (self.tokens.0 - warm) / UNSEEN_SHARE;
                prefill(unseen.min(UNSEEN_MOST), candidate.tokens_per_s)
            }
        };
        tolerated.max(prefill(UNNOTICED, candidate.tokens_per_s))
    }
}

impl Basis {
    fn reason(self) -> ChoiceReason {
        match self {
            Self::Known => ChoiceReason::Warm,
            Self::Shared => ChoiceReason::Shared,
            Self::Presumed => ChoiceReason::Presumed,
            Self::Nothing => ChoiceReason::First,
        }
    }
}

impl Standing {
    /// Why a replica stands aside whatever room it has, if it does.
    fn is_out(self) -> Option<Obstacle> {
        match self {
            Self::Free(_) => None,
            Self::Passed(why) => Some(why.obstacle()).filter(|why| *why != Obstacle::Full),
        }
    }
}

/// How long so many tokens take, in microseconds.
fn prefill(tokens: u64, tokens_per_s: u32) -> u64 {
    tokens.saturating_mul(1_000_000) / u64::from(tokens_per_s.max(1))
}

/// A step of a full batch, as prompt tokens that are computed in that time, so that it fits engines and models of any speed:
/// a 70B model on four H100 takes 52 ms for a step with 64 requests, and computes 9,600 prompt tokens a second. Source: the
/// measurements that come with Splitwise (Patel et al., 2024).
const FULL_STEP: u64 = 500;
/// Costs so close are alike, in prompt tokens: less than what is not known of a replica, a fraction of one step.
const TIE: u64 = 100;
/// Half of a full batch's step, in prompt tokens: nobody moves for that.
const UNNOTICED: u64 = 250;
/// A replica that is only the first in the order may be slower by this part of the prompt's own prefill,
const UNSEEN_SHARE: u64 = 4;
/// and never by more than this, in prompt tokens: it has nothing of the prompt.
const UNSEEN_MOST: u64 = 2_500;

#[cfg(test)]
mod tests;
