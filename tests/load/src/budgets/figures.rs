//! What became of a load: what was admitted against what may be, how good the told waits are, and how long answers took.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Outcome, Try};
use crate::report::percentile;

/// What a tenant may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tokens at once.
    pub burst: u64,
    /// Tokens in a minute.
    pub per_minute: u64,
}

/// Figures of one load.
#[derive(Debug)]
pub struct Figures {
    asked: usize,
    refused: usize,
    /// Those that were admitted, in the order in which they were answered.
    admitted: Vec<Try>,
    lost: Vec<Try>,
    waits_ms: Vec<u64>,
    as_told: usize,
    admitted_as_told: usize,
    refused_us: Vec<u64>,
    time: Duration,
    limits: Limits,
}

impl Figures {
    /// Of all requests of a load that took so long.
    pub fn new(tries: &[Try], time: Duration, limits: Limits) -> Self {
        let ended = |outcome: fn(Outcome) -> bool| -> Vec<Try> {
            let mut ended: Vec<Try> = tries.iter().copied().filter(|tried| outcome(tried.outcome)).collect();
            ended.sort_unstable_by_key(|tried| tried.answered);
            ended
        };
        let admitted = ended(|outcome| outcome == Outcome::Admitted);
        let refused = ended(|outcome| matches!(outcome, Outcome::Refused(_)));
        let mut waits_ms: Vec<u64> = tries.iter().filter_map(wait_ms).collect();
        waits_ms.sort_unstable();
        Self {
            asked: tries.len(),
            refused: refused.len(),
            as_told: tries.iter().filter(|tried| tried.is_as_told).count(),
            admitted_as_told: admitted.iter().filter(|tried| tried.is_as_told).count(),
            refused_us: sorted_us(&refused),
            lost: ended(|outcome| outcome == Outcome::Lost),
            admitted,
            waits_ms,
            time,
            limits,
        }
    }

    /// One JSON object.
    pub fn to_json(&self) -> Value {
        let tokens = |tries: &[Try]| tries.iter().map(|tried| tried.tokens).sum::<u64>();
        let us = sorted_us(&self.admitted);
        json!({
            "asked": self.asked,
            "admitted": self.admitted.len(),
            "refused": self.refused,
            "lost": self.lost.len(),
            "tokens": tokens(&self.admitted),
            "tokens_lost": tokens(&self.lost),
            "bound": bound(self.limits, self.time),
            "overshoot": overshoot(&self.admitted, self.limits),
            "as_told": self.as_told,
            "admitted_as_told": self.admitted_as_told,
            "wait_ms_p50": percentile(&self.waits_ms, 0.50),
            "wait_ms_p99": percentile(&self.waits_ms, 0.99),
            "us_p50": percentile(&us, 0.50),
            "us_p99": percentile(&us, 0.99),
            "refused_us_p50": percentile(&self.refused_us, 0.50),
            "refused_us_p99": percentile(&self.refused_us, 0.99),
        })
    }
}

/// How many tokens more were admitted than may be, in the worst of all windows; below zero where there is none. A
/// request was admitted between the moments at which it was sent and answered. So those that were sent after a window
/// began, and answered before it ended, were admitted in it.
fn overshoot(answered: &[Try], limits: Limits) -> i64 {
    // In units of which a minute's microseconds make a token, for every pair of requests is looked at.
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let (burst, per_minute) = (signed(limits.burst), signed(limits.per_minute));
    let mut worst = -burst * UNITS_PER_TOKEN;
    for first in answered {
        let mut beyond = micros(first.sent) * per_minute - burst * UNITS_PER_TOKEN;
        let earlier = answered.partition_point(|tried| tried.answered < first.sent);
        for inside in answered[earlier..].iter().filter(|tried| tried.sent >= first.sent) {
            beyond += signed(inside.tokens) * UNITS_PER_TOKEN;
            worst = worst.max(beyond - micros(inside.answered) * per_minute);
        }
    }
    // Rounded up.
    -(-worst).div_euclid(UNITS_PER_TOKEN)
}

/// What may be admitted in a window of that length.
fn bound(limits: Limits, window: Duration) -> u64 {
    let grown = window.as_micros() * u128::from(limits.per_minute) / u128::from(UNITS_PER_TOKEN.unsigned_abs());
    limits.burst + u64::try_from(grown).unwrap_or(u64::MAX)
}

fn wait_ms(tried: &Try) -> Option<u64> {
    match tried.outcome {
        Outcome::Refused(wait) => u64::try_from(wait.as_millis()).ok(),
        Outcome::Admitted | Outcome::Lost => None,
    }
}

fn sorted_us(tries: &[Try]) -> Vec<u64> {
    let mut all: Vec<u64> = tries
        .iter()
        .map(|tried| (tried.answered - tried.sent).as_micros() as u64)
        .collect();
    all.sort_unstable();
    all
}

fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

/// Microseconds in a minute.
const UNITS_PER_TOKEN: i64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        burst: 100,
        per_minute: 60_000,
    };

    fn tried(sent_ms: u64, answered_ms: u64, outcome: Outcome) -> Try {
        Try {
            sent: Duration::from_millis(sent_ms),
            answered: Duration::from_millis(answered_ms),
            tokens: 100,
            is_as_told: sent_ms > 0,
            outcome,
        }
    }

    #[test]
    fn the_worst_window_is_found() {
        // A token in a millisecond: 100 at 10 ms and 100 at 110 ms are all there are, and 100 at 60 ms are too many.
        let even = [10, 110].map(|at| tried(at, at, Outcome::Admitted));
        assert_eq!(overshoot(&even, LIMITS), 0);
        let crowded = [10, 60, 110].map(|at| tried(at, at, Outcome::Admitted));
        assert_eq!(overshoot(&crowded, LIMITS), 100);
        // What may have been admitted earlier or later is not held against anybody.
        let vague = [tried(10, 20, Outcome::Admitted), tried(15, 110, Outcome::Admitted)];
        assert_eq!(overshoot(&vague, LIMITS), 0);
    }

    #[test]
    fn refusals_and_what_became_of_them_are_counted() {
        let told = Outcome::Refused(Duration::from_millis(7));
        let tries = [
            tried(0, 1, Outcome::Admitted),
            tried(1, 2, told),
            tried(9, 10, told),
            tried(17, 18, Outcome::Lost),
        ];
        let figures = Figures::new(&tries, Duration::from_millis(100), LIMITS).to_json();
        let expected = [
            ("asked", 4),
            ("admitted", 1),
            ("refused", 2),
            ("lost", 1),
            ("bound", 200),
        ];
        for (name, figure) in expected {
            assert_eq!(figures[name], figure, "{name}");
        }
        assert_eq!(
            (&figures["as_told"], &figures["admitted_as_told"]),
            (&json!(3), &json!(0))
        );
        assert_eq!(
            (&figures["wait_ms_p50"], &figures["us_p99"]),
            (&json!(7), &json!(1_000))
        );
    }
}
