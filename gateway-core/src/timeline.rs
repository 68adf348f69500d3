//! The time that something lives by: it follows a clock, and goes on when that is set back. It is made from readings alone,
//! so that all who replay them come to one time, and it never says what the wall clock is: days are not its business.
//!
//! Set back, the clock is followed from where it stands: nothing waits until it has come again to where it was. Set ahead,
//! or read after a break, the time in between has passed. The readings may be those of several machines. Then the clock
//! that is furthest ahead leads, and what the others read does not count twice; one that nobody has read for a while leads
//! no more.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A time that never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    now: Timestamp,
    /// The furthest reading that is believed, and the time here at that moment.
    leader: Anchor,
    /// While all readings are behind that: the least of them, and the time here at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<Anchor>,
}

/// A reading, and the time here when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Anchor {
    read: Timestamp,
    at: Timestamp,
}

impl Anchor {
    fn time_of(self, reading: Timestamp) -> Timestamp {
        self.at + reading.since(self.read)
    }
}

impl Timeline {
    /// A time that is `at` when the clock reads that.
    pub fn new(read: Timestamp, at: Timestamp) -> Self {
        Self {
            now: at,
            leader: Anchor { read, at },
            behind: None,
        }
    }

    /// The time when the clock reads that.
    pub fn read(&mut self, reading: Timestamp) -> Timestamp {
        let time = if reading >= self.leader.read {
            let at = self.leader.time_of(reading);
            (self.leader, self.behind) = (Anchor { read: reading, at }, None);
            at
        } else {
            self.read_behind(reading)
        };
        self.now = self.now.max(time);
        self.now
    }

    /// How far the clock has been set back, when it reads that, as far as that is news and worth telling.
    pub fn set_back_by(&self, reading: Timestamp) -> Option<Duration> {
        let by = self.leader.read.since(reading);
        (self.behind.is_none() && by >= WORTH_TELLING).then_some(by)
    }

    fn read_behind(&mut self, reading: Timestamp) -> Timestamp {
        let behind = match self.behind {
            Some(behind) if reading >= behind.read => behind,
            // Set back again.
            Some(_) => Anchor {
                read: reading,
                at: self.now,
            },
            // From the leader's time on, not from the latest one here: what is read out of order by a little, again and
            // again, does not add up.
            None => Anchor {
                read: reading,
                at: self.leader.at,
            },
        };
        let at = behind.time_of(reading);
        if reading.since(behind.read) < LEADS_FOR {
            self.behind = Some(behind);
        } else {
            (self.leader, self.behind) = (Anchor { read: reading, at }, None);
        }
        at
    }
}

/// How long the clock that is furthest ahead leads while others alone are read: as long as a budget's window. A clock that
/// goes to and fro adds what it leaps over once in that time at most.
const LEADS_FOR: Duration = Duration::from_secs(60);
/// Steps of less are made when machines' clocks are set right, and when what was read on several comes out of order.
const WORTH_TELLING: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(100 * HOUR + millis)
    }

    /// A timeline that begins at zero, and how many milliseconds it has come to after these readings.
    fn after(readings: impl IntoIterator<Item = u64>) -> (Timeline, u128) {
        let mut line = Timeline::new(at(0), at(0));
        let mut now = at(0);
        for reading in readings {
            let before = now;
            now = line.read(at(reading));
            assert!(now >= before, "it went back");
        }
        (line, now.since(at(0)).as_millis())
    }

    #[test]
    fn a_clock_that_goes_on_is_followed_and_one_that_leaps_ahead_too() {
        assert_eq!(after([5, 9, 9, 12]).1, 12);
        assert_eq!(after([5, HOUR]).1, u128::from(HOUR));
    }

    #[test]
    fn a_clock_that_is_set_back_costs_no_time() {
        let back = [HOUR, 5, 1_005, 61_005, 61_006];
        assert_eq!(after(back).1, u128::from(HOUR) + 61_001);
        let again = [2 * HOUR, HOUR, HOUR + 10_000, 0, 10_000, 20_000];
        assert_eq!(after(again).1, u128::from(2 * HOUR) + 30_000);
    }

    #[test]
    fn a_clock_that_goes_to_and_fro_adds_what_it_leaps_over_once() {
        let flaps = (0..50).flat_map(|second| [second * 1_000, HOUR + second * 1_000]);
        assert_eq!(after(flaps).1, u128::from(HOUR) + 49_000);
    }

    #[test]
    fn readings_out_of_order_by_a_little_do_not_add_up() {
        let jitter = (1..10_000_u64).map(|step| step + (step * 7_919) % 40);
        let (_, passed) = after(jitter);
        assert!((9_999..10_120).contains(&passed), "{passed}");
    }

    #[test]
    fn machines_whose_clocks_differ_make_time_go_no_faster() {
        for apart in [30, 3_000, HOUR] {
            let readings = (1..10_000_u64).map(|step| step * 10 + [0, apart, apart / 2][step as usize % 3]);
            let (_, passed) = after(readings);
            let right = 99_960 + u128::from(apart);
            assert!(
                (right..=right + 30 + u128::from(apart)).contains(&passed),
                "{apart}: {passed}"
            );
        }
    }

    #[test]
    fn a_step_back_is_told_once_and_a_small_one_never() {
        let mut line = after([HOUR]).0;
        assert_eq!(line.set_back_by(at(HOUR - 9_999)), None);
        assert_eq!(line.set_back_by(at(0)), Some(Duration::from_millis(HOUR)));
        line.read(at(0));
        assert_eq!(line.set_back_by(at(1)), None);
    }
}
