//! The bound that a budget promises, checked for every window at once.

/// What was admitted, over time.
pub struct Windows {
    per_micro: f64,
    burst: f64,
    admitted: f64,
    /// The least of `admitted - rate x time` at any earlier moment: the beginning of the worst window.
    least: f64,
    /// The most that any window went beyond the burst and the rate; below zero where none did.
    pub worst: f64,
}

impl Windows {
    pub fn new(per_minute: u64, burst: u64) -> Self {
        Self {
            per_micro: per_minute as f64 / 6e7,
            burst: burst as f64,
            admitted: 0.0,
            least: f64::INFINITY,
            worst: f64::NEG_INFINITY,
        }
    }

    /// So much is admitted, or comes back, at that microsecond, while so much debt is around.
    pub fn on_admitted(&mut self, micros: u64, tokens: f64, debt: f64) {
        let allowed = self.per_micro * micros as f64;
        self.least = self.least.min(self.admitted - allowed);
        self.admitted += tokens;
        let beyond = self.admitted - allowed - self.least - self.burst - debt;
        self.worst = self.worst.max(beyond);
    }
}

/// What requests did not take, on its way back from one cache: it counts as admitted until it is there again, in the cache's
/// lease at once, or in the bucket when the cell hears of it.
#[derive(Default)]
pub struct Returning {
    /// The number of the report that tells of it, and how much it is.
    told_in: Vec<(u64, u64)>,
}

impl Returning {
    /// So much is on its way, to be told in the report after the last one that was made.
    pub fn on_returned(&mut self, last_report: u64, tokens: u64) {
        self.told_in.push((last_report + 1, tokens));
    }

    /// All that is on its way.
    pub fn sum(&self) -> u64 {
        self.told_in.iter().map(|(_, tokens)| tokens).sum()
    }

    /// The cell has heard that report: what is back.
    pub fn on_heard(&mut self, report: u64) -> u64 {
        let back = self.told_in.iter().filter(|(told_in, _)| *told_in <= report);
        let back = back.map(|(_, tokens)| tokens).sum();
        self.told_in.retain(|(told_in, _)| *told_in > report);
        back
    }
}
