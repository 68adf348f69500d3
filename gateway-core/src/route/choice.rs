//! The order in which clusters are tried: least expected time to first token first, and what the operator weighs beside
//! it. What of the prompt is in memory at a cluster has not to be computed there, so that a conversation stays where it is
//! warm as long as that is sooner. From figures that it is given; it looks nothing up.

use std::time::Duration;

use crate::cluster::{ClusterLoad, SignalState};
use crate::ids::{ClusterName, Tokens};
use crate::time::Timestamp;

/// What a cluster told of its load, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadSnapshot {
    /// Its load.
    pub load: ClusterLoad,
    /// When it told so.
    pub at: Timestamp,
}

/// A cluster that may serve the request.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Which.
    pub cluster: &'a ClusterName,
    /// There and back from here, as far as that is known; zero when it is not known where here is.
    pub round_trip: Duration,
    /// What its price counts for.
    pub price: Duration,
    /// Uncached prompt tokens that one replica reads in a second.
    pub prefill_tokens_per_s: f64,
    /// What of the prompt should be in memory at one of its replicas.
    pub warm: Tokens,
    /// Its load, when that is known and not too old,
    pub load: Option<ClusterLoad>,
    /// and how old it is then.
    pub load_age: Option<Duration>,
}

/// The expected time to first token at one cluster, and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate<'a> {
    /// Which candidate, as an index into the list.
    pub index: usize,
    /// Which cluster that is.
    pub cluster: &'a ClusterName,
    /// There and back from here; zero when it is not known where here is.
    pub round_trip: Duration,
    /// Behind requests that are there already.
    pub wait: Duration,
    /// Reading what of the prompt is not warm.
    pub prefill: Duration,
    /// What of the prompt should be in memory there.
    pub warm: Tokens,
    /// What the cluster's price counts for, as if it were time.
    pub price: Duration,
    /// Whether it is known to have no room at all now.
    pub full: bool,
    /// How old the figures of its load are; `None` where there are none, and it counts as idle.
    pub load_age: Option<Duration>,
}

impl Estimate<'_> {
    /// The expected time to first token.
    pub fn ttft(&self) -> Duration {
        self.round_trip.saturating_add(self.wait).saturating_add(self.prefill)
    }

    /// The expected time to first token, and what the price counts for. A short wait is no reason to leave a cluster, where
    /// conversations have their prefixes.
    fn cost(&self) -> Duration {
        let unnoticed = if self.wait < UNNOTICED {
            self.wait
        } else {
            Duration::ZERO
        };
        (self.ttft() - unnoticed).saturating_add(self.price)
    }
}

/// Where the prompt goes as long as nothing has any load or any of it in memory, as an index into the candidates: what
/// anybody at the same place can tell who knows nothing else. Of those that are alike it is the one written first, so that
/// they do not take turns and cool each other's prefixes. Only those count that it `may` go to.
pub fn home(prompt: Tokens, candidates: &[Candidate<'_>], may: impl Fn(usize) -> bool) -> Option<usize> {
    let idle_and_cold = |(index, candidate): (usize, &Candidate<'_>)| {
        let candidate = Candidate {
            warm: Tokens(0),
            load: None,
            ..*candidate
        };
        (index, estimate(prompt, index, &candidate).cost())
    };
    let candidates = candidates.iter().enumerate().filter(|(index, _)| may(*index));
    let costs: Vec<_> = candidates.map(idle_and_cold).collect();
    let least = costs.iter().map(|(_, cost)| *cost).min()?;
    let is_alike = |(_, cost): &&(usize, Duration)| *cost <= least.saturating_add(ALIKE);
    costs.iter().find(is_alike).map(|(index, _)| *index)
}

/// Candidates by expected time to first token and price in whole milliseconds; those known to be full come last, since figures
/// age and a full cluster is still better than none. The one at `home` comes before those that are alike.
pub fn rank<'a>(prompt: Tokens, candidates: &[Candidate<'a>], home: Option<usize>) -> Vec<Estimate<'a>> {
    let mut estimates: Vec<_> = candidates
        .iter()
        .enumerate()
        .map(|(index, it)| estimate(prompt, index, it))
        .collect();
    let away = |estimate: &Estimate<'_>| {
        if home == Some(estimate.index) {
            Duration::ZERO
        } else {
            ALIKE
        }
    };
    estimates.sort_by_key(|estimate| {
        let cost = estimate.cost().saturating_add(away(estimate));
        (estimate.full, cost.as_millis())
    });
    estimates
}

fn estimate<'a>(prompt: Tokens, index: usize, candidate: &Candidate<'a>) -> Estimate<'a> {
    let reading = |tokens: u64| Duration::from_secs_f64(tokens as f64 / candidate.prefill_tokens_per_s);
    let warm = candidate.warm.min(prompt);
    let load = candidate.load.unwrap_or(IDLE);
    Estimate {
        index,
        cluster: candidate.cluster,
        round_trip: candidate.round_trip,
        // Those before it have prompts of their own, and are as cold as any.
        wait: load
            .expected_wait
            .max(reading(prompt.0).mul_f64(queue_factor(utilisation(load), load.max_running))),
        prefill: reading(prompt.0 - warm.0),
        warm,
        price: candidate.price,
        full: utilisation(load) >= 1.0,
        load_age: candidate.load_age,
    }
}

/// The mean wait in a queue before `servers` servers, in service times: Sakasegawa's approximation of M/M/c
/// (H. Sakasegawa, "An approximation formula Lq = a b^p / (1 - b)", 1977). A batch with room makes nobody wait; one
/// that is nearly full does. The service time that it is applied to is the prefill of a prompt as long as this one.
fn queue_factor(utilisation: f64, servers: u32) -> f64 {
    let servers = f64::from(servers.max(1));
    let utilisation = utilisation.min(MOST_UTILISATION);
    utilisation.powf((2.0 * (servers + 1.0)).sqrt() - 1.0) / (servers * (1.0 - utilisation))
}

/// The fuller of the two things that run out: places in the batch and kv_cache. 1 when every replica is out.
fn utilisation(load: ClusterLoad) -> f64 {
    let share = |used: u64, all: u64| if all == 0 { 1.0 } else { used as f64 / all as f64 };
    share(load.running.into(), load.max_running.into())
        .max(share(load.kv_tokens.0, load.kv_cache_tokens.0))
        .min(1.0)
}

/// Less than this nobody waits for, and less is not known: about a step of decoding.
const UNNOTICED: Duration = Duration::from_millis(25);
/// Clusters whose costs are so close are alike: what is learned of round trips differs by as much from process to process.
const ALIKE: Duration = Duration::from_millis(5);
/// Past this the formula goes to infinity and says nothing any more.
const MOST_UTILISATION: f64 = 0.98;

/// What counts for a cluster that has told nothing of late.
const IDLE: ClusterLoad = ClusterLoad {
    running: 0,
    max_running: 1,
    kv_tokens: Tokens(0),
    kv_cache_tokens: Tokens(1),
    expected_wait: Duration::ZERO,
    signals: SignalState {
        is_due: false,
        stale: 0,
    },
};

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static CLUSTER: LazyLock<ClusterName> = LazyLock::new(|| ClusterName::from("cluster"));
    const NEAR: Duration = Duration::from_millis(10);
    const FAR: Duration = Duration::from_millis(110);

    fn candidate(round_trip: Duration, load: Option<(u32, u32)>) -> Candidate<'static> {
        let load = load.map(|(running, max_running)| ClusterLoad {
            running,
            max_running,
            kv_cache_tokens: Tokens(1),
            ..Default::default()
        });
        Candidate {
            cluster: &CLUSTER,
            round_trip,
            price: Duration::ZERO,
            prefill_tokens_per_s: 10_000.0,
            warm: Tokens(0),
            load,
            load_age: None,
        }
    }

    fn ranked<'a>(prompt: u64, candidates: &[Candidate<'a>]) -> Vec<Estimate<'a>> {
        let prompt = Tokens(prompt);
        rank(prompt, candidates, home(prompt, candidates, |_| true))
    }

    fn order(prompt: u64, candidates: &[Candidate<'_>]) -> Vec<usize> {
        ranked(prompt, candidates)
            .iter()
            .map(|estimate| estimate.index)
            .collect()
    }

    #[test]
    fn the_nearest_wins_when_load_is_alike() {
        assert_eq!(order(1_000, &[candidate(FAR, None), candidate(NEAR, None)]), [1, 0]);
    }

    #[test]
    fn a_long_prompt_goes_far_to_avoid_a_loaded_cluster_and_a_short_one_does_not() {
        let candidates = [candidate(NEAR, Some((9, 10))), candidate(FAR, Some((0, 10)))];
        assert_eq!(order(8_000, &candidates), [1, 0]);
        assert_eq!(order(10, &candidates), [0, 1]);
    }

    #[test]
    fn a_little_load_moves_nobody() {
        for running in 0..7 {
            let candidates = [candidate(NEAR, Some((running, 10))), candidate(NEAR, Some((0, 10)))];
            assert_eq!(order(1_717, &candidates), [0, 1], "{running}");
        }
        let candidates = [candidate(NEAR, Some((9, 10))), candidate(NEAR, Some((0, 10)))];
        assert_eq!(order(1_717, &candidates), [1, 0]);
    }

    #[test]
    fn who_would_wait_for_a_turn_goes_where_nobody_does() {
        let waiting = |ms| Candidate {
            load: Some(ClusterLoad {
                expected_wait: Duration::from_millis(ms),
                ..candidate(NEAR, Some((9, 10))).load.expect("a load")
            }),
            ..candidate(NEAR, None)
        };
        assert_eq!(order(10, &[waiting(500), candidate(FAR, None)]), [1, 0]);
        assert_eq!(order(10, &[waiting(0), candidate(FAR, None)]), [0, 1]);
    }

    #[test]
    fn full_and_broken_clusters_come_last_however_near() {
        assert_eq!(
            order(1, &[candidate(NEAR, Some((10, 10))), candidate(FAR, None)]),
            [1, 0]
        );
        assert_eq!(order(1, &[candidate(NEAR, Some((0, 0))), candidate(FAR, None)]), [1, 0]);
    }

    #[test]
    fn without_a_place_the_order_written_decides() {
        let nowhere = candidate(Duration::ZERO, None);
        assert_eq!(order(100, &[nowhere, nowhere]), [0, 1]);
    }

    #[test]
    fn a_price_is_weighed_against_time() {
        let costing = |round_trip, ms| Candidate {
            price: Duration::from_millis(ms),
            ..candidate(round_trip, None)
        };
        assert_eq!(order(1_000, &[costing(NEAR, 150), costing(FAR, 40)]), [1, 0]);
        assert_eq!(order(1_000, &[costing(NEAR, 130), costing(FAR, 40)]), [0, 1]);
        assert_eq!(ranked(0, &[costing(NEAR, 150)])[0].ttft(), NEAR, "it is no time");
    }

    #[test]
    fn a_warm_cluster_across_an_ocean_wins_only_if_it_is_faster() {
        let warm = |round_trip, tokens| Candidate {
            warm: Tokens(tokens),
            ..candidate(round_trip, None)
        };
        let far_has = |tokens| [warm(NEAR, 0), warm(FAR, tokens)];
        // 100 ms of the way are 1,000 tokens, and 5 ms more move nobody away from home.
        assert_eq!(order(8_000, &far_has(1_049)), [0, 1]);
        assert_eq!(order(8_000, &far_has(1_060)), [1, 0]);
        assert_eq!(
            order(900, &far_has(u64::MAX)),
            [0, 1],
            "never more than the prompt is warm"
        );
        let estimates = ranked(8_000, &far_has(6_000));
        assert_eq!(
            (estimates[0].ttft(), estimates[0].warm),
            (FAR + Duration::from_millis(200), Tokens(6_000))
        );
    }

    #[test]
    fn a_conversation_stays_where_it_is_warm_while_loads_flap() {
        for (near, far) in [(0, 8), (8, 0), (0, 0), (8, 8)] {
            let mut candidates = [candidate(NEAR, Some((near, 10))), candidate(NEAR, Some((far, 10)))];
            for warm in [0, 1] {
                candidates[warm].warm = Tokens(7_500);
                assert_eq!(order(8_000, &candidates)[0], warm, "{near} {far}");
                candidates[warm].warm = Tokens(0);
            }
        }
        let mut candidates = [candidate(NEAR, Some((99, 100))), candidate(NEAR, Some((0, 100)))];
        candidates[0].warm = Tokens(2_000);
        assert_eq!(
            order(8_000, &candidates),
            [1, 0],
            "until waiting costs more than computing it anew"
        );
    }

    #[test]
    fn home_is_where_a_cold_prompt_goes_while_all_are_idle() {
        let at_home = |prompt, candidates: &[Candidate<'_>]| home(Tokens(prompt), candidates, |_| true);
        let full_and_cold = candidate(NEAR, Some((10, 10)));
        let warm = Candidate {
            warm: Tokens(8_000),
            ..candidate(FAR, None)
        };
        assert_eq!(at_home(8_000, &[warm, full_and_cold]), Some(1));
        let a_little_nearer = candidate(NEAR - Duration::from_millis(4), None);
        assert_eq!(at_home(8_000, &[candidate(NEAR, None), a_little_nearer]), Some(0));
        assert_eq!(order(8_000, &[candidate(NEAR, None), a_little_nearer]), [0, 1]);
        assert_eq!(at_home(8_000, &[]), None);
        let candidates = [candidate(NEAR, None), candidate(FAR, None)];
        assert_eq!(home(Tokens(10), &candidates, |index| index > 0), Some(1));
    }

    #[test]
    fn figures_at_the_edge_of_their_range_do_not_panic() {
        let slow = Candidate {
            prefill_tokens_per_s: 1.0,
            ..candidate(FAR, Some((u32::MAX, 1)))
        };
        assert_eq!(ranked(u64::from(u32::MAX), &[slow]).len(), 1);
    }
}
