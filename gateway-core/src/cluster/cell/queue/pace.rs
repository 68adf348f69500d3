//! How soon the next one's turn comes at a cluster, from how far apart the last turns did while somebody waited: at other
//! times that tells how much is asked, and not how much there is. Turns, and not places that become free: one that has
//! computed its prompts has room for many short ones at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A moving mean of the time between two turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cluster::cell) struct Pace {
    last: Option<Timestamp>,
    /// In microseconds.
    mean: u64,
    /// How many the mean is over, up to a bound.
    seen: u8,
}

impl Pace {
    /// Somebody's turn has come, and others wait still or nobody does.
    pub fn on_turn(&mut self, now: Timestamp, is_waited_for: bool) {
        let last = std::mem::replace(&mut self.last, is_waited_for.then_some(now));
        if let Some(last) = last {
            let gap = u64::try_from(now.since(last).as_micros()).unwrap_or(u64::MAX);
            // One gap, such as that of an outage, is no new pace.
            let most = self.mean.saturating_mul(MOST_OVER_MEAN).max(GUESS_US);
            self.seen = self.seen.saturating_add(1).min(OVER);
            let share = u64::from(self.seen);
            self.mean = (self.mean * (share - 1) + gap.min(most)) / share;
        }
    }

    /// When somebody's turn came last while others waited.
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// How long until `turns` more have come: a guess as long as little has been seen.
    pub fn until(&self, turns: u32) -> Duration {
        let gap = if self.is_known() { self.mean.max(1) } else { GUESS_US };
        Duration::from_micros(gap.saturating_mul(turns.max(1).into()))
    }

    /// Whether enough has been seen to send anybody away.
    pub fn is_known(&self) -> bool {
        self.seen >= FEWEST
    }
}

/// The mean is over about so many turns, of which dozens may come at once: it follows a change of load within as many.
const OVER: u8 = 64;
/// Of fewer it says little.
const FEWEST: u8 = 4;
/// A longer gap counts as so many times the mean, and as half a second at least: a cluster that gets that much slower is
/// followed within dozens of turns.
const MOST_OVER_MEAN: u64 = 4;
/// As long as nothing is known: an answer of 500 tokens at 50 a second takes ten seconds, and twenty run at a replica.
const GUESS_US: u64 = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_gaps() {
        let mut pace = Pace::default();
        assert_eq!(pace.until(2), Duration::from_secs(1), "a guess");
        let mut now = Timestamp::from_millis(1_000);
        for (gap_ms, times, low, high) in [(100, 20, 99, 101), (20, 200, 20, 24), (0, 400, 0, 1)] {
            for _ in 0..times {
                pace.on_turn(now, true);
                now = now + Duration::from_millis(gap_ms);
            }
            let ms = pace.until(1).as_millis();
            assert!((low..=high).contains(&ms), "{gap_ms}: {ms}");
        }
        assert!(pace.until(0) > Duration::ZERO);
    }

    #[test]
    fn turns_that_come_by_the_dozen_are_as_far_apart_as_in_the_mean() {
        let mut pace = Pace::default();
        let mut now = Timestamp::from_millis(1_000);
        for _ in 0..20 {
            for _ in 0..20 {
                pace.on_turn(now, true);
            }
            now = now + Duration::from_millis(400);
            let ms = pace.until(1).as_millis();
            assert!(now < Timestamp::from_millis(3_500) || (14..=26).contains(&ms), "{ms}");
        }
    }

    #[test]
    fn turns_while_nobody_waits_tell_nothing_and_an_outage_little() {
        let mut pace = Pace::default();
        let mut now = Timestamp::from_millis(1_000);
        let mut turn = |pace: &mut Pace, gap_ms, is_waited_for| {
            now = now + Duration::from_millis(gap_ms);
            pace.on_turn(now, is_waited_for);
        };
        for _ in 0..20 {
            turn(&mut pace, 500, false);
        }
        assert!(!pace.is_known());
        for _ in 0..20 {
            turn(&mut pace, 20, true);
        }
        turn(&mut pace, 20, false);
        turn(&mut pace, 30_000, true);
        assert_eq!(pace.until(1).as_millis(), 20, "nobody waited");
        turn(&mut pace, 6_000, true);
        assert!(pace.until(1).as_millis() < 45, "{:?}", pace.until(1));
        for _ in 0..100 {
            turn(&mut pace, 500, true);
        }
        assert!(pace.until(1).as_millis() > 250, "{:?}", pace.until(1));
    }
}
