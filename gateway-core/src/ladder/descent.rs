//! The walk down: tiers in order, in each tier its clusters in order, within a number of attempts. Pure: the
//! pipeline asks for the first step, and after each failure for the next.

use std::time::Duration;

use super::attempt_error::{AttemptError, Remedy};

/// A walk down one request's ladder. It knows tiers and clusters by their places in the plan only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descent {
    /// Number of clusters in each tier that engines serve.
    clusters: Vec<usize>,
    /// Whether a canned answer stands below them.
    canned: bool,
    attempts_left: u32,
    at: Step,
    recovery: Option<Duration>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask a replica of that cluster of that tier.
    Attempt {
        /// The tier's place in the ladder.
        tier: usize,
        /// The cluster's place in the tier.
        cluster: usize,
    },
    /// Give the canned answer.
    Canned,
    /// Give up: the last error stands.
    GiveUp,
}

impl Descent {
    /// A walk over tiers with so many clusters each, of at most `attempts` attempts.
    pub fn new(clusters: Vec<usize>, canned: bool, attempts: u32) -> Self {
        let mut descent = Self {
            clusters,
            canned,
            attempts_left: attempts,
            at: Step::GiveUp,
            recovery: None,
        };
        descent.at = descent.first_cluster(0);
        descent
    }

    /// Where the walk stands.
    pub fn step(&self) -> Step {
        self.at
    }

    /// The soonest that any of the failed attempts may go better.
    pub fn recovery(&self) -> Option<Duration> {
        self.recovery
    }

    /// The step that was taken failed at a replica: where to go from there.
    pub fn after(&mut self, error: &AttemptError) -> Step {
        // Neither asking a cell nor passing over a tier costs an engine anything.
        let is_free = matches!(
            error,
            AttemptError::NoRoom { .. } | AttemptError::Cell(_) | AttemptError::Unfit
        );
        self.go_on(error, error.remedy(), u32::from(!is_free))
    }

    /// The step that was taken failed at a cluster as a whole, whose region hop has asked so many of its replicas: where to go
    /// from there.
    pub fn after_region(&mut self, error: &AttemptError, attempts: u32) -> Step {
        let remedy = match error.remedy() {
            Remedy::AnotherReplica => Remedy::AnotherCluster,
            other @ (Remedy::Never | Remedy::AnotherCluster | Remedy::AnotherTier | Remedy::Canned) => other,
        };
        self.go_on(error, remedy, attempts)
    }

    /// How many attempts there are still.
    pub fn attempts_left(&self) -> u32 {
        self.attempts_left
    }

    fn go_on(&mut self, error: &AttemptError, remedy: Remedy, attempts: u32) -> Step {
        self.recovery = [self.recovery, error.recovery()].into_iter().flatten().min();
        let Step::Attempt { tier, cluster } = self.at else {
            self.at = Step::GiveUp;
            return self.at;
        };
        self.attempts_left = self.attempts_left.saturating_sub(attempts);
        self.at = match remedy {
            Remedy::Never => Step::GiveUp,
            Remedy::Canned => self.bottom(),
            Remedy::AnotherReplica | Remedy::AnotherCluster | Remedy::AnotherTier if self.attempts_left == 0 => {
                self.bottom()
            }
            Remedy::AnotherReplica => self.at,
            Remedy::AnotherCluster if cluster + 1 < self.clusters[tier] => Step::Attempt {
                tier,
                cluster: cluster + 1,
            },
            Remedy::AnotherCluster | Remedy::AnotherTier => self.first_cluster(tier + 1),
        };
        self.at
    }

    fn first_cluster(&self, from_tier: usize) -> Step {
        match (from_tier..self.clusters.len()).find(|tier| self.clusters[*tier] > 0) {
            Some(tier) => Step::Attempt { tier, cluster: 0 },
            None => self.bottom(),
        }
    }

    fn bottom(&self) -> Step {
        if self.canned { Step::Canned } else { Step::GiveUp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::PassedOver;
    use crate::platform::SendError;

    fn broken() -> AttemptError {
        AttemptError::Send(SendError::Broken(String::new()))
    }

    fn no_room(seconds: Option<u64>) -> AttemptError {
        AttemptError::NoRoom {
            recovery: seconds.map(Duration::from_secs),
            passed_over: PassedOver::default(),
        }
    }

    #[test]
    fn tiers_and_clusters_in_order_then_the_canned_answer() {
        let mut descent = Descent::new(vec![2, 0, 1], true, 9);
        assert_eq!(descent.step(), Step::Attempt { tier: 0, cluster: 0 });
        assert_eq!(
            descent.after(&broken()),
            Step::Attempt { tier: 0, cluster: 0 },
            "another replica first"
        );
        assert_eq!(descent.after(&no_room(None)), Step::Attempt { tier: 0, cluster: 1 });
        assert_eq!(
            descent.after(&no_room(None)),
            Step::Attempt { tier: 2, cluster: 0 },
            "an empty tier is passed over"
        );
        assert_eq!(descent.after(&no_room(None)), Step::Canned);
    }

    #[test]
    fn a_tier_that_cannot_take_the_request_is_passed_over_with_all_its_clusters() {
        let mut descent = Descent::new(vec![1, 2, 1], false, 1);
        assert_eq!(descent.after(&no_room(None)), Step::Attempt { tier: 1, cluster: 0 });
        assert_eq!(
            descent.after(&AttemptError::Unfit),
            Step::Attempt { tier: 2, cluster: 0 }
        );
        assert_eq!(descent.after(&AttemptError::Unfit), Step::GiveUp);
    }

    #[test]
    fn attempts_are_bounded_and_full_clusters_cost_none() {
        let mut descent = Descent::new(vec![9], false, 2);
        assert_ne!(descent.after(&no_room(None)), Step::GiveUp);
        assert_ne!(descent.after(&broken()), Step::GiveUp);
        assert_eq!(descent.after(&broken()), Step::GiveUp);
    }

    #[test]
    fn a_wrong_request_goes_nowhere_and_a_late_one_straight_to_the_bottom() {
        let rejected = AttemptError::Rejected {
            status: 400,
            body: Default::default(),
        };
        assert_eq!(Descent::new(vec![1, 1], true, 9).after(&rejected), Step::GiveUp);
        assert_eq!(
            Descent::new(vec![1, 1], true, 9).after(&AttemptError::Deadline),
            Step::Canned
        );
        assert_eq!(
            Descent::new(vec![1, 1], false, 9).after(&AttemptError::Deadline),
            Step::GiveUp
        );
    }

    #[test]
    fn the_soonest_recovery_is_kept() {
        let mut descent = Descent::new(vec![3], false, 9);
        for seconds in [Some(7), Some(2), None] {
            descent.after(&no_room(seconds));
        }
        assert_eq!(descent.recovery(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_ladder_of_nothing_gives_up() {
        assert_eq!(Descent::new(vec![], false, 9).step(), Step::GiveUp);
        assert_eq!(Descent::new(vec![0], true, 9).step(), Step::Canned);
    }
}
