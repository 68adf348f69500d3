//! How many lines of a kind the log gets: beyond a bound they tell nothing new, and writing them holds up what goes well.

use std::sync::atomic::{AtomicU64, Ordering};

/// Admits so many lines in each second, and counts those it leaves out.
#[derive(Debug)]
pub struct LineRate {
    most: u64,
    second: AtomicU64,
    seen: AtomicU64,
}

/// Whether a line is written.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is.
    Admitted {
        /// How many were left out since the line before.
        left_out: u64,
    },
    /// It is not.
    LeftOut,
}

impl LineRate {
    /// Admits at most so many in a second.
    pub const fn new(most: u64) -> Self {
        Self {
            most,
            second: AtomicU64::new(0),
            seen: AtomicU64::new(0),
        }
    }

    /// Whether a line of that second is written. Threads that race at the turn of a second may admit a few more; the count
    /// is for reading.
    pub fn admit(&self, second: u64) -> Admission {
        if self.second.swap(second, Ordering::Relaxed) != second {
            let seen = self.seen.swap(1, Ordering::Relaxed);
            return Admission::Admitted {
                left_out: seen.saturating_sub(self.most),
            };
        }
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        if seen < self.most {
            Admission::Admitted { left_out: 0 }
        } else {
            Admission::LeftOut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let lines = LineRate::new(50);
        for _ in 0..50 {
            assert_eq!(lines.admit(7), Admission::Admitted { left_out: 0 });
        }
        assert_eq!(lines.admit(7), Admission::LeftOut);
        assert_eq!(lines.admit(7), Admission::LeftOut);
        assert_eq!(lines.admit(8), Admission::Admitted { left_out: 2 });
        assert_eq!(lines.admit(8), Admission::Admitted { left_out: 0 });
        assert_eq!(lines.admit(9), Admission::Admitted { left_out: 0 });
    }
}
