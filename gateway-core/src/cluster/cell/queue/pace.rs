//! How soon the next place becomes free at a cluster, from how far apart the last ones did while somebody waited: at other
//! times that tells how much is asked, and not how much there is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A moving mean of the time between two places that become free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cluster::cell) struct Pace {
    last: Option<Timestamp>,
    /// In microseconds.
    mean: u64,
    /// How many the mean is over, up to a bound.
    seen: u8,
}

impl Pace {
    /// A place has become free, and somebody waits for one or nobody does.
    pub fn on_freed(&mut self, now: Timestamp, is_waited_for: bool) {
        let before = if is_waited_for {
            self.last.replace(now)
        } else {
            self.last.take();
            None
        };
        if let Some(last) = before {
            let gap = u64::try_from(now.since(last).as_micros()).unwrap_or(u64::MAX);
            // One gap, such as that of an outage, is no new pace.
            let most = if self.is_known() {
                self.mean.saturating_mul(MOST_OVER_MEAN)
            } else {
                GUESS_US
            };
            let gap = gap.min(most.max(LEAST_BOUND_US));
            self.seen = self.seen.saturating_add(1).min(OVER);
            let share = u64::from(self.seen);
            self.mean = (self.mean * (share - 1) + gap) / share;
        }
    }

    /// When a place became free last while somebody waited.
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// How long until `places` more are free: a guess as long as little has been seen.
    pub fn until(&self, places: u32) -> Duration {
        let gap = if self.is_known() { self.mean.max(1) } else { GUESS_US };
        Duration::from_micros(gap.saturating_mul(places.max(1).into()))
    }

    /// Whether enough has been seen to send anybody away.
    pub fn is_known(&self) -> bool {
        self.seen >= FEWEST
    }
}

/// The mean is over about so many places: it follows a change of load within as many.
const OVER: u8 = 16;
/// Of fewer it says little.
const FEWEST: u8 = 4;
/// A longer gap counts as so many times the mean: a cluster that gets that much slower is followed within a dozen places.
const MOST_OVER_MEAN: u64 = 4;
/// Gaps up to this count as they are.
const LEAST_BOUND_US: u64 = 10_000;
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
        for (gap_ms, times, low, high) in [(100, 20, 99, 101), (20, 60, 20, 24), (0, 200, 0, 1)] {
            for _ in 0..times {
                pace.on_freed(now, true);
                now = now + Duration::from_millis(gap_ms);
            }
            let ms = pace.until(1).as_millis();
            assert!((low..=high).contains(&ms), "{gap_ms}: {ms}");
        }
        assert!(pace.until(0) > Duration::ZERO);
    }

    #[test]
    fn what_becomes_free_while_nobody_waits_tells_nothing_and_an_outage_little() {
        let mut pace = Pace::default();
        let mut now = Timestamp::from_millis(1_000);
        let mut free = |pace: &mut Pace, gap_ms, is_waited_for| {
            now = now + Duration::from_millis(gap_ms);
            pace.on_freed(now, is_waited_for);
        };
        for _ in 0..20 {
            free(&mut pace, 500, false);
        }
        assert!(!pace.is_known());
        for _ in 0..20 {
            free(&mut pace, 20, true);
        }
        free(&mut pace, 30_000, false);
        free(&mut pace, 30_000, true);
        assert_eq!(pace.until(1).as_millis(), 20, "nobody waited");
        free(&mut pace, 6_000, true);
        assert!(pace.until(1).as_millis() < 25, "{:?}", pace.until(1));
        for _ in 0..20 {
            free(&mut pace, 500, true);
        }
        assert!(pace.until(1).as_millis() > 250, "{:?}", pace.until(1));
    }
}
