//! The walk down: tiers in order, in each tier its clusters in order, within a number of attempts. Where all clusters of a
//! tier lack room, it waits once, at the one with the least expected wait, before it leaves the tier. A request that a
//! replica has failed at waits nowhere: retries are for room that there is. Pure: the pipeline asks for the first step, and
//! after each failure for the next.

use std::time::Duration;

use super::attempt_error::{AttemptError, Remedy};

/// A walk down one request's ladder. It knows tiers and clusters by their places in the plan only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descent {
    /// Number of clusters in each tier that engines serve.
    clusters: Vec<usize>,
    /// Whether a canned answer stands below them.
    canned: bool,
    may_wait: bool,
    attempts: u32,
    attempts_left: u32,
    /// The least expected wait in the tier, and at which of its clusters.
    least_wait: Option<(Duration, usize)>,
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
        /// Whether to wait there where it has no room.
        waits: bool,
    },
    /// Give the canned answer.
    Canned,
    /// Give up: the last error stands.
    GiveUp,
}

impl Step {
    /// The tier and the cluster that it is about.
    pub fn place(self) -> Option<(usize, usize)> {
        match self {
            Self::Attempt { tier, cluster, .. } => Some((tier, cluster)),
            Self::Canned | Self::GiveUp => None,
        }
    }
}

impl Descent {
    /// A walk over tiers with so many clusters each, of at most `attempts` attempts.
    pub fn new(clusters: Vec<usize>, canned: bool, attempts: u32) -> Self {
        let mut descent = Self {
            clusters,
            canned,
            may_wait: true,
            attempts,
            attempts_left: attempts,
            least_wait: None,
            at: Step::GiveUp,
            recovery: None,
        };
        descent.at = descent.first_cluster(0);
        descent
    }

    /// The same where requests may wait for room, or may not.
    #[must_use]
    pub fn with_waiting(mut self, may_wait: bool) -> Self {
        self.may_wait = may_wait;
        self.at = self.first_cluster(0);
        self
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
        let Step::Attempt { tier, cluster, waits } = self.at else {
            self.at = Step::GiveUp;
            return self.at;
        };
        if let AttemptError::NoRoom {
            expected_wait: Some(wait),
            ..
        } = error
        {
            let least = self
                .least_wait
                .map_or((*wait, cluster), |least| least.min((*wait, cluster)));
            self.least_wait = Some(least);
        }
        self.attempts_left = self.attempts_left.saturating_sub(attempts);
        self.at = match remedy {
            Remedy::Never => Step::GiveUp,
            Remedy::Canned => self.bottom(),
            Remedy::AnotherReplica | Remedy::AnotherCluster | Remedy::AnotherTier if self.attempts_left == 0 => {
                self.bottom()
            }
            Remedy::AnotherReplica => self.ask(tier, cluster, false),
            Remedy::AnotherCluster if !waits && cluster + 1 < self.clusters[tier] => self.ask(tier, cluster + 1, false),
            Remedy::AnotherCluster => match self.least_wait.take() {
                Some((_, cluster)) if !waits && self.waits_for_room() => self.ask(tier, cluster, true),
                Some(_) | None => self.first_cluster(tier + 1),
            },
            Remedy::AnotherTier => self.first_cluster(tier + 1),
        };
        self.at
    }

    fn waits_for_room(&self) -> bool {
        self.may_wait && self.attempts_left == self.attempts
    }

    fn ask(&self, tier: usize, cluster: usize, waits: bool) -> Step {
        Step::Attempt { tier, cluster, waits }
    }

    /// Where a tier has one cluster, there is no other to ask before waiting.
    fn first_cluster(&mut self, from_tier: usize) -> Step {
        self.least_wait = None;
        match (from_tier..self.clusters.len()).find(|tier| self.clusters[*tier] > 0) {
            Some(tier) => self.ask(tier, 0, self.clusters[tier] == 1 && self.waits_for_room()),
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
            expected_wait: None,
            dropped: None,
        }
    }

    fn lacks_room(wait_ms: u64) -> AttemptError {
        AttemptError::NoRoom {
            recovery: None,
            passed_over: PassedOver::default(),
            expected_wait: Some(Duration::from_millis(wait_ms)),
            dropped: None,
        }
    }

    fn ask(tier: usize, cluster: usize) -> Step {
        let waits = false;
        Step::Attempt { tier, cluster, waits }
    }

    fn wait(tier: usize, cluster: usize) -> Step {
        let waits = true;
        Step::Attempt { tier, cluster, waits }
    }

    #[test]
    fn it_waits_once_in_a_tier_where_the_wait_is_least() {
        let mut descent = Descent::new(vec![3, 2, 1], false, 9);
        for (error, next) in [
            (lacks_room(300), ask(0, 1)),
            (lacks_room(100), ask(0, 2)),
            (lacks_room(200), wait(0, 1)),
            (lacks_room(900), ask(1, 0)),
            (no_room(None), ask(1, 1)),
            (no_room(None), wait(2, 0)),
            (lacks_room(1), Step::GiveUp),
        ] {
            assert_eq!(descent.after(&error), next, "{error:?}");
        }
        assert_eq!(descent.recovery(), Some(Duration::from_millis(1)));
    }

    #[test]
    fn who_has_failed_at_a_replica_waits_nowhere() {
        let mut descent = Descent::new(vec![1, 2], false, 9);
        assert_eq!(descent.step(), wait(0, 0));
        for (error, next) in [
            (broken(), ask(0, 0)),
            (lacks_room(100), ask(1, 0)),
            (lacks_room(100), ask(1, 1)),
            (lacks_room(100), Step::GiveUp),
        ] {
            assert_eq!(descent.after(&error), next, "{error:?}");
        }
    }

    #[test]
    fn tiers_and_clusters_in_order_then_the_canned_answer() {
        let mut descent = Descent::new(vec![2, 0, 1], true, 9);
        assert_eq!(descent.step(), ask(0, 0));
        assert_eq!(descent.after(&broken()), ask(0, 0), "another replica first");
        assert_eq!(descent.after(&no_room(None)), ask(0, 1));
        assert_eq!(descent.after(&no_room(None)), ask(2, 0), "an empty tier is passed over");
        assert_eq!(descent.after(&no_room(None)), Step::Canned);
    }

    #[test]
    fn a_tier_that_cannot_take_the_request_is_passed_over_with_all_its_clusters() {
        let mut descent = Descent::new(vec![1, 2, 1], false, 1);
        assert_eq!(descent.after(&no_room(None)), ask(1, 0));
        assert_eq!(descent.after(&AttemptError::Unfit), wait(2, 0));
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
