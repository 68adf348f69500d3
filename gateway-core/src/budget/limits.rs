//! What a budget allows, and what it charges for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::signed;
use crate::time::Timestamp;

/// What a budget allows. `None`: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetLimits {
    /// Tokens of prompts and answers.
    #[serde(default)]
    pub tokens: Option<Rate>,
    /// Requests that are admitted.
    #[serde(default)]
    pub requests: Option<Rate>,
    /// Tokens between two resets.
    #[serde(default)]
    pub tokens_per_day: Option<u64>,
    /// Requests that run at once.
    #[serde(default)]
    pub concurrent_requests: Option<u32>,
    /// When days begin, in minutes after midnight, UTC; 0 to 1,439.
    #[serde(default)]
    pub day_starts_at_minute: u16,
}

/// How fast something may be used, and how much of it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// In a minute; 1 to [`Rate::MOST`].
    pub per_minute: u64,
    /// At once, after a while without use; 1 to [`Rate::MOST`].
    pub burst: u64,
}

impl Rate {
    /// The largest figure that the arithmetic of buckets is made for.
    pub const MOST: u64 = 10_000_000_000;

    /// A rate whose burst is a minute's worth.
    pub fn per_minute(per_minute: u64) -> Self {
        let burst = per_minute;
        Self { per_minute, burst }
    }

    /// What of the burst is kept for requests of higher priority, of which that is the share.
    pub fn kept(self, percent: u8) -> u64 {
        let kept = u128::from(self.burst) * u128::from(percent.min(100)) / 100;
        u64::try_from(kept).unwrap_or(u64::MAX)
    }

    /// A level after so much time in which nothing was taken: at most the burst.
    pub fn grown(self, level: i64, elapsed: Duration) -> i64 {
        let grown = level.saturating_add(signed(self.inflow(elapsed)));
        grown.min(signed(self.burst))
    }

    /// How many come in that time.
    pub fn inflow(self, elapsed: Duration) -> u64 {
        let inflow = elapsed.as_micros().saturating_mul(self.per_minute.into()) / MICROS_PER_MINUTE;
        u64::try_from(inflow).unwrap_or(u64::MAX)
    }

    /// How long so many take to come.
    pub fn time_for(self, amount: u64) -> Duration {
        let micros = u128::from(amount) * MICROS_PER_MINUTE;
        let micros = micros.div_ceil(u128::from(self.per_minute.max(1)));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn is_sound(self) -> bool {
        let range = 1..=Self::MOST;
        range.contains(&self.per_minute) && range.contains(&self.burst)
    }
}

impl BudgetLimits {
    /// Whether every figure is within its bounds.
    pub fn is_sound(&self) -> bool {
        self.tokens.is_none_or(Rate::is_sound)
            && self.requests.is_none_or(Rate::is_sound)
            && self
                .tokens_per_day
                .is_none_or(|tokens| (1..=MOST_PER_DAY).contains(&tokens))
            && self.concurrent_requests.is_none_or(|requests| requests > 0)
            && u64::from(self.day_starts_at_minute) < MINUTES_PER_DAY
    }

    /// Whether tokens have to be drawn before they are spent.
    pub fn bounds_tokens(&self) -> bool {
        self.tokens.is_some() || self.tokens_per_day.is_some()
    }

    /// The most tokens that one request can ever have, where that share is kept for others.
    pub fn most_for_one(&self, headroom_percent: u8) -> u64 {
        let burst = self
            .tokens
            .map_or(u64::MAX, |rate| rate.burst - rate.kept(headroom_percent));
        burst.min(self.tokens_per_day.unwrap_or(u64::MAX))
    }

    /// The day of a moment, counted from the Unix epoch.
    pub fn day(&self, now: Timestamp) -> u64 {
        (now - self.day_start()).as_secs() / SECONDS_PER_DAY
    }

    /// Until the next day begins.
    pub fn until_next_day(&self, now: Timestamp) -> Duration {
        let begins = Duration::from_secs((self.day(now) + 1) * SECONDS_PER_DAY) + self.day_start();
        (Timestamp::default() + begins).since(now)
    }

    fn day_start(&self) -> Duration {
        Duration::from_secs(u64::from(self.day_starts_at_minute) * 60)
    }
}

/// Most tokens in a day.
pub const MOST_PER_DAY: u64 = 1_000_000_000_000;
const MICROS_PER_MINUTE: u128 = 60_000_000;
const SECONDS_PER_DAY: u64 = 86_400;
const MINUTES_PER_DAY: u64 = 1_440;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_when_they_are_told_to() {
        let noon = BudgetLimits {
            day_starts_at_minute: 720,
            ..BudgetLimits::default()
        };
        let just_before = Timestamp::from_micros((3 * SECONDS_PER_DAY + SECONDS_PER_DAY / 2) * 1_000_000 - 1);
        assert_eq!(
            (noon.day(just_before), BudgetLimits::default().day(just_before)),
            (2, 3)
        );
        assert_eq!(noon.until_next_day(just_before), Duration::from_micros(1));
        let then = just_before + Duration::from_micros(1);
        assert_eq!(noon.day(then), 3);
        assert_eq!(noon.until_next_day(then), Duration::from_secs(SECONDS_PER_DAY));
    }

    #[test]
    fn figures_beyond_their_bounds_are_not_sound() {
        let sound = BudgetLimits {
            tokens: Some(Rate::per_minute(1)),
            concurrent_requests: Some(1),
            ..BudgetLimits::default()
        };
        assert!(sound.is_sound());
        for unsound in [
            BudgetLimits {
                tokens: Some(Rate {
                    per_minute: 0,
                    burst: 1,
                }),
                ..sound
            },
            BudgetLimits {
                requests: Some(Rate {
                    per_minute: 1,
                    burst: Rate::MOST + 1,
                }),
                ..sound
            },
            BudgetLimits {
                tokens_per_day: Some(0),
                ..sound
            },
            BudgetLimits {
                concurrent_requests: Some(0),
                ..sound
            },
            BudgetLimits {
                day_starts_at_minute: 1_440,
                ..sound
            },
        ] {
            assert!(!unsound.is_sound(), "{unsound:?}");
        }
    }
}
