//! Which region hops are left alone: those that did nothing with orders of late. After a rest one order tries again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::RegionName;
use crate::time::Timestamp;

/// What this process knows of region hops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopHealth {
    /// Those that have failed since they last served.
    failing: BTreeMap<RegionName, Failing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failing {
    /// How often in a row.
    times: u32,
    /// Until when it is left alone, once that is often enough.
    until: Option<Timestamp>,
}

impl HopHealth {
    /// How long the hop is left alone still; `None` where it is not.
    pub fn rest(&self, now: Timestamp, region: &RegionName) -> Option<Duration> {
        let until = self.failing.get(region)?.until?;
        (now < until).then(|| until.since(now))
    }

    /// An order is about to go to the hop, as [`rest`](Self::rest) lets it: where it is the first after a rest, others wait for
    /// what becomes of it, as long as another rest.
    pub fn on_order(&mut self, now: Timestamp, region: &RegionName, rest: Duration) {
        if let Some(until) = self.failing.get_mut(region).and_then(|failing| failing.until.as_mut()) {
            *until = now + rest;
        }
    }

    /// It did something with an order.
    pub fn on_served(&mut self, region: &RegionName) {
        self.failing.remove(region);
    }

    /// It did nothing with an order. After so many `failures` in a row it is left alone for that long.
    pub fn on_failed(&mut self, now: Timestamp, region: &RegionName, failures: u32, rest: Duration) {
        let none = Failing { times: 0, until: None };
        let failing = self.failing.entry(region.clone()).or_insert(none);
        failing.times = failing.times.saturating_add(1);
        if failing.times >= failures {
            failing.until = Some(now + rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000 * seconds)
    }

    #[test]
    fn a_hop_that_fails_often_enough_is_left_alone_and_tried_once_after_a_rest() {
        let (mut health, region) = (HopHealth::default(), RegionName::from("fra"));
        for second in 0..2 {
            health.on_failed(at(second), &region, 3, REST);
            assert_eq!(health.rest(at(second), &region), None);
        }
        health.on_failed(at(2), &region, 3, REST);
        assert_eq!(health.rest(at(3), &region), Some(Duration::from_secs(4)));
        assert_eq!(health.rest(at(7), &region), None, "it is tried");
        health.on_order(at(7), &region, REST);
        assert_eq!(
            health.rest(at(8), &region),
            Some(Duration::from_secs(4)),
            "by one order"
        );
        assert_eq!(health.rest(at(12), &region), None, "of which nothing was heard");
        health.on_order(at(12), &region, REST);
        health.on_served(&region);
        assert_eq!(health.rest(at(12), &region), None);
        health.on_failed(at(13), &region, 3, REST);
        assert_eq!(health.rest(at(13), &region), None, "all is forgotten");
    }
}
