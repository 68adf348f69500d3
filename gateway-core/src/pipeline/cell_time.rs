//! How long a request may still wait for cells, all its calls together: where what cells live in hangs, a request must
//! not pay for each of them.

use std::cell::Cell;
use std::time::Duration;

/// The time of one request.
#[derive(Debug)]
pub(super) struct CellTime {
    all: Duration,
    left: Cell<Duration>,
}

impl CellTime {
    /// So much in all.
    pub fn new(all: Duration) -> Self {
        Self {
            all,
            left: Cell::new(all),
        }
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        self.left.get()
    }

    /// What is left for the cells of budgets and rollouts, which are asked first: a part is kept for the clusters', which may
    /// well answer.
    pub fn left_but_for_clusters(&self) -> Duration {
        self.left.get().saturating_sub(self.kept_for_clusters())
    }

    /// The request has waited for that long.
    pub fn on_waited(&self, waited: Duration) {
        self.left.set(self.left.get().saturating_sub(waited));
    }

    /// A cell that took so long and gave no reply is silent, and not merely short of time. So much any first call has.
    pub fn kept_for_clusters(&self) -> Duration {
        self.all / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_share_one_time_and_budgets_leave_some_of_it() {
        let time = CellTime::new(Duration::from_millis(1_000));
        assert_eq!(time.left_but_for_clusters(), Duration::from_millis(750));
        time.on_waited(Duration::from_millis(600));
        assert_eq!(time.left_but_for_clusters(), Duration::from_millis(150));
        time.on_waited(Duration::from_millis(200));
        assert_eq!(
            (time.left_but_for_clusters(), time.left()),
            (Duration::ZERO, Duration::from_millis(200))
        );
        time.on_waited(Duration::from_millis(900));
        assert_eq!(time.left(), Duration::ZERO);
    }
}
