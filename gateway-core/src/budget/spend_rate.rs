//! How fast something is spent: what was spent lately, the newest weighing most.

use std::time::Duration;

use crate::time::Timestamp;

/// An exponentially weighted sum of spending.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpendRate {
    sum: f64,
    at: Timestamp,
}

impl SpendRate {
    /// Nothing was spent yet.
    pub fn new(now: Timestamp) -> Self {
        Self { sum: 0.0, at: now }
    }

    /// So much is spent now.
    pub fn on_spent(&mut self, now: Timestamp, amount: u64) {
        self.sum = self.faded(now) + amount as f64;
        self.at = self.at.max(now);
    }

    /// Of what was reserved lately, so much was used.
    pub fn on_settled(&mut self, now: Timestamp, reserved: u64, used: u64) {
        self.sum = (self.faded(now) + used as f64 - reserved as f64).max(0.0);
        self.at = self.at.max(now);
    }

    /// What is likely to be spent in the next [`HORIZON`], if it goes on so.
    pub fn ahead(&self, now: Timestamp) -> u64 {
        self.faded(now).ceil() as u64
    }

    /// How much is spent in a second.
    pub fn per_second(&self, now: Timestamp) -> u64 {
        (self.faded(now) / HORIZON.as_secs_f64()).ceil() as u64
    }

    fn faded(&self, now: Timestamp) -> f64 {
        let age = now.since(self.at).as_secs_f64();
        let sum = self.sum * (-age / HORIZON.as_secs_f64()).exp();
        // What is less than one of anything is nothing.
        if sum < 1.0 { 0.0 } else { sum }
    }
}

/// How far a lease reaches ahead, and how long spending is remembered.
pub(super) const HORIZON: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_spending_is_seen_and_forgotten() {
        let at = |millis: u64| Timestamp::from_millis(1_000_000 + millis);
        let mut rate = SpendRate::new(at(0));
        (0..600).for_each(|step| rate.on_spent(at(step * 100), 50));
        let ahead = rate.ahead(at(60_000));
        assert!((3_900..4_100).contains(&ahead), "{ahead} of 4,000 in 8 s");
        assert!((485..515).contains(&rate.per_second(at(60_000))));
        assert_eq!(rate.ahead(at(60_000 + 200_000)), 0);
        rate.on_settled(at(60_000), 10_000, 0);
        assert_eq!(rate.ahead(at(60_000)), 0);
    }
}
