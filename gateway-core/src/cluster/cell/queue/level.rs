//! Fairness among the tenants of one priority: deficit round robin over prompt tokens that have to be computed. In each
//! round every tenant that waits is credited alike, and its next request goes once its credit covers it: who sends prompts
//! a hundred times as long gets a hundredth of the requests. Source: Shreedhar and Varghese, "Efficient fair queueing using
//! deficit round robin", 1995. Rounds in which nothing would go are passed over in one step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the tenants of one priority stand to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Level {
    /// What each of those that wait has been credited and has not used, in tokens.
    credits: BTreeMap<u64, u64>,
    /// Whose request went last.
    last: u64,
    /// Which requests of higher priority went since one of this one did, while some waited here.
    #[serde(default)]
    pub passed: Passed,
}

/// Requests that went before those of a lower priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Passed {
    /// How many.
    pub requests: u32,
    /// The least share of the room that any of them might not use, in percent; `None` of none.
    pub headroom_percent: Option<u8>,
}

impl Level {
    /// A tenant waits.
    pub fn on_joined(&mut self, tenant: u64) {
        self.credits.entry(tenant).or_default();
    }

    /// A request of a tenant goes, that costs so much.
    pub fn on_gone(&mut self, tenant: u64, cost: u64) {
        let rounds = self.rounds(tenant, cost);
        for credit in self.credits.values_mut() {
            *credit = credit.saturating_add(rounds.saturating_mul(QUANTUM)).min(MOST_CREDIT);
        }
        if let Some(credit) = self.credits.get_mut(&tenant) {
            *credit = credit.saturating_sub(cost);
        }
        self.last = tenant;
    }

    /// A request of a higher priority goes.
    pub fn on_passed(&mut self, headroom_percent: u8) {
        let least = self.passed.headroom_percent.unwrap_or(u8::MAX);
        self.passed = Passed {
            requests: self.passed.requests.saturating_add(1),
            headroom_percent: Some(least.min(headroom_percent)),
        };
    }

    /// A tenant waits no longer, and loses what it has not used. Whether nobody does.
    pub fn on_left(&mut self, tenant: u64) -> bool {
        self.credits.remove(&tenant);
        self.credits.is_empty()
    }

    /// Whose request goes next, where each tenant's next one costs so much: the one whose credit covers it after the fewest
    /// rounds, and of several the one that follows the last one's tenant in the circle.
    pub fn next(&self, costs: impl Iterator<Item = (u64, u64)>) -> Option<u64> {
        let key = |(tenant, cost): &(u64, u64)| (self.rounds(*tenant, *cost), *tenant <= self.last, *tenant);
        costs.min_by_key(key).map(|(tenant, _)| tenant)
    }

    fn rounds(&self, tenant: u64, cost: u64) -> u64 {
        let credit = self.credits.get(&tenant).copied().unwrap_or_default();
        cost.saturating_sub(credit).div_ceil(QUANTUM)
    }

    /// Those that wait.
    pub fn tenants(&self) -> impl Iterator<Item = &u64> {
        self.credits.keys()
    }
}

/// What each tenant is credited in a round, in tokens: about the shortest prompt that keeps a replica for any time.
const QUANTUM: u64 = 1_024;
/// The longest prompt that is told apart from longer ones.
const MOST_CREDIT: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_get_alike_whatever_their_prompts() {
        let mut level = Level::default();
        let costs = [(1, 300), (2, 30_000), (3, 1_000)];
        let mut got = BTreeMap::<u64, u64>::new();
        for (tenant, _) in costs {
            level.on_joined(tenant);
        }
        for _ in 0..5_000 {
            let tenant = level.next(costs.into_iter()).expect("one");
            let cost = costs.iter().find(|(of, _)| *of == tenant).expect("it").1;
            level.on_gone(tenant, cost);
            *got.entry(tenant).or_default() += cost;
        }
        let (least, most) = (got.values().min().expect("one"), got.values().max().expect("one"));
        assert!((most - least) * 20 < *most, "{got:?}");
    }
}
