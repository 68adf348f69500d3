//! What clients are told of a budget with each answer.

use std::time::Duration;

use super::account::Amount;
use super::limits::{BudgetLimits, Rate};
use super::message::Left;

/// How a budget stands, as far as one edge location knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Tokens, where they have a limit by the minute.
    pub tokens: Option<RateState>,
    /// Requests, likewise.
    pub requests: Option<RateState>,
}

/// One limit and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateState {
    /// The most that can be there at once.
    pub limit: u64,
    /// What is there now.
    pub remaining: u64,
    /// Until all of it is there again, if nothing is used.
    pub reset: Duration,
}

impl Rates {
    /// From what the cell told `elapsed` ago, and what is held here; `debt` is below zero.
    pub(super) fn new(limits: &BudgetLimits, left: Left, elapsed: Duration, held: Amount, debt: i64) -> Self {
        let tokens = limits.tokens.map(|rate| {
            let state = RateState::new(rate, left.tokens, elapsed, held.tokens, debt);
            let of_day = limits
                .tokens_per_day
                .map_or(u64::MAX, |_| left.day_tokens + held.tokens);
            RateState {
                remaining: state.remaining.min(of_day),
                ..state
            }
        });
        let requests = limits
            .requests
            .map(|rate| RateState::new(rate, left.requests, elapsed, held.requests, 0));
        Self { tokens, requests }
    }

    /// The one of two budgets that is nearer to its end, for tokens and for requests.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        Self {
            tokens: tighter(self.tokens, other.tokens),
            requests: tighter(self.requests, other.requests),
        }
    }
}

fn tighter(one: Option<RateState>, other: Option<RateState>) -> Option<RateState> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let share = |it: &RateState, by: &RateState| u128::from(it.remaining) * u128::from(by.limit);
            Some(if share(&other, &one) < share(&one, &other) {
                other
            } else {
                one
            })
        }
        (one, other) => one.or(other),
    }
}

impl RateState {
    fn new(rate: Rate, left: i64, elapsed: Duration, held: u64, debt: i64) -> Self {
        let held = i64::try_from(held).unwrap_or(i64::MAX);
        let burst = i64::try_from(rate.burst).unwrap_or(i64::MAX);
        let there = rate
            .grown(left, elapsed)
            .saturating_add(held)
            .saturating_add(debt)
            .min(burst);
        Self {
            limit: rate.burst,
            remaining: u64::try_from(there).unwrap_or(0),
            reset: rate.time_for((burst - there).unsigned_abs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_what_is_left_and_what_is_held_here() {
        let limits = BudgetLimits {
            tokens: Some(Rate {
                per_minute: 600,
                burst: 100,
            }),
            ..BudgetLimits::default()
        };
        let rates = |left, elapsed, held, debt| {
            let left = Left {
                tokens: left,
                ..Left::default()
            };
            let held = Amount {
                tokens: held,
                requests: 0,
            };
            Rates::new(&limits, left, Duration::from_secs(elapsed), held, debt)
                .tokens
                .unwrap()
        };
        let state = |remaining, reset| RateState {
            limit: 100,
            remaining,
            reset: Duration::from_secs(reset),
        };
        assert_eq!(rates(20, 2, 10, 0), state(50, 5));
        assert_eq!(rates(90, 2, 10, 0), state(100, 0));
        assert_eq!(rates(-20, 1, 0, -10), state(0, 12));
    }

    #[test]
    fn the_tighter_of_two_budgets_is_told() {
        let state = |limit, remaining| {
            Some(RateState {
                limit,
                remaining,
                reset: Duration::ZERO,
            })
        };
        let one = Rates {
            tokens: state(100, 50),
            requests: None,
        };
        let other = Rates {
            tokens: state(1_000, 400),
            requests: state(5, 5),
        };
        let told = one.tighter(other);
        assert_eq!((told.tokens, told.requests), (other.tokens, other.requests));
        assert_eq!(other.tighter(one).tokens, other.tokens);
    }
}
