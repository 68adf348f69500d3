//! The walk down: tiers in order, in each tier its clusters in order, within a number of attempts. Where all clusters of a
//! tier lack room, it waits at the one with the least expected wait, before it leaves the tier. Where nothing answers on any
//! tier and a cluster's replicas are all out, it is held for these. Pure: the pipeline asks for the first step, and after
//! each failure for the next.
//!
//! A replica whose engine is not there costs no attempt: nothing was asked of it. As many of them are passed over as there
//! are attempts; then their cluster is.

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
    may_be_held: bool,
    attempts_left: u32,
    /// How many engines that are not there may still be passed over.
    absent_left: u32,
    /// The least expected wait in the tier, and at which of its clusters.
    least_wait: Option<(Duration, usize)>,
    /// The first cluster whose replicas are all out, with its tier.
    out: Option<(usize, usize)>,
    at: Step,
    recovery: Option<Duration>,
}

/// What an attempt waits for at a cluster that has no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Nothing: it finds room or goes on.
    Nothing,
    /// Its turn, among others.
    Turn,
    /// Replicas, of which none is there: nothing else on the ladder answers.
    Replicas,
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
        /// What to wait for there where it has no room.
        waits: WaitsFor,
    },
    /// Give the canned answer.
    Canned,
    /// Give up: the last error stands.
    GiveUp,
}

impl Step {
    /// The tier that it is about.
    pub fn tier(self) -> Option<usize> {
        match self {
            Self::Attempt { tier, .. } => Some(tier),
            Self::Canned | Self::GiveUp => None,
        }
    }

    /// Whether it waits for replicas, of which none is there.
    pub fn is_held(self) -> bool {
        self.waits_for() == WaitsFor::Replicas
    }

    fn waits_for(self) -> WaitsFor {
        match self {
            Self::Attempt { waits, .. } => waits,
            Self::Canned | Self::GiveUp => WaitsFor::Nothing,
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
            may_be_held: false,
            attempts_left: attempts,
            absent_left: attempts,
            least_wait: None,
            out: None,
            at: Step::GiveUp,
            recovery: None,
        };
        descent.at = descent.first_cluster(0);
        descent
    }

    /// The same where requests may wait for room, or may not, and may be held where there are no replicas.
    #[must_use]
    pub fn with_waiting(mut self, may_wait: bool, may_be_held: bool) -> Self {
        (self.may_wait, self.may_be_held) = (may_wait, may_be_held);
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
        if !error.is_absence() || self.at.is_held() {
            return self.go_on(error, error.remedy(), u32::from(!(is_free || error.is_absence())));
        }
        let remedy = if self.absent_left == 0 {
            Remedy::AnotherCluster
        } else {
            error.remedy()
        };
        self.absent_left = self.absent_left.saturating_sub(1);
        self.go_on(error, remedy, 0)
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

    /// Replicas of one version have failed alike at the step that was taken, where the clusters of other versions begin at
    /// that place of the tier: where to go from there.
    pub fn after_version(&mut self, error: &AttemptError, others_from: usize) -> Step {
        if let Step::Attempt { cluster, .. } = &mut self.at {
            *cluster = others_from.saturating_sub(1).max(*cluster);
        }
        self.after_region(error, 1)
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
        self.note(error, (tier, cluster));
        self.attempts_left = self.attempts_left.saturating_sub(attempts);
        self.at = match remedy {
            Remedy::Never => Step::GiveUp,
            Remedy::Canned => self.end(),
            Remedy::AnotherReplica | Remedy::AnotherCluster | Remedy::AnotherTier if self.attempts_left == 0 => {
                self.end()
            }
            Remedy::AnotherReplica if waits == WaitsFor::Replicas => ask(tier, cluster, waits),
            Remedy::AnotherCluster | Remedy::AnotherTier if waits == WaitsFor::Replicas => self.end(),
            Remedy::AnotherReplica => ask(tier, cluster, self.at_once(tier)),
            Remedy::AnotherCluster if waits == WaitsFor::Nothing && cluster + 1 < self.clusters[tier] => {
                ask(tier, cluster + 1, WaitsFor::Nothing)
            }
            Remedy::AnotherCluster => match self.least_wait.take() {
                Some((_, cluster)) if waits == WaitsFor::Nothing && self.may_wait => ask(tier, cluster, WaitsFor::Turn),
                Some(_) | None => self.first_cluster(tier + 1),
            },
            Remedy::AnotherTier => self.first_cluster(tier + 1),
        };
        self.at
    }

    /// What an error tells of the cluster that it came from.
    fn note(&mut self, error: &AttemptError, place: (usize, usize)) {
        let mut is_out = error.is_absence();
        if let AttemptError::NoRoom {
            expected_wait,
            passed_over,
            ..
        } = error
        {
            is_out = passed_over.full == 0 && passed_over.open + passed_over.tried > 0;
            if let Some(wait) = *expected_wait {
                let own = (wait, place.1);
                self.least_wait = Some(self.least_wait.map_or(own, |least| least.min(own)));
            }
        }
        if is_out {
            self.out = self.out.or(Some(place));
        }
    }

    /// What the first attempt in a tier waits for: where that has one cluster, there is no other to ask before.
    fn at_once(&self, tier: usize) -> WaitsFor {
        if self.clusters[tier] == 1 && self.may_wait {
            WaitsFor::Turn
        } else {
            WaitsFor::Nothing
        }
    }

    fn first_cluster(&mut self, from_tier: usize) -> Step {
        self.least_wait = None;
        match (from_tier..self.clusters.len()).find(|tier| self.clusters[*tier] > 0) {
            Some(tier) => ask(tier, 0, self.at_once(tier)),
            None => self.bottom(),
        }
    }

    /// Nothing on the ladder has answered.
    fn bottom(&self) -> Step {
        match self.out {
            Some((tier, cluster)) if self.may_be_held => ask(tier, cluster, WaitsFor::Replicas),
            Some(_) | None => self.end(),
        }
    }

    /// Nobody waits any longer for replicas that are not there.
    pub fn end_hold(&mut self) {
        self.at = self.end();
    }

    fn end(&self) -> Step {
        if self.canned { Step::Canned } else { Step::GiveUp }
    }
}

fn ask(tier: usize, cluster: usize, waits: WaitsFor) -> Step {
    Step::Attempt { tier, cluster, waits }
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

    fn absent() -> AttemptError {
        AttemptError::Send(SendError::Connect(String::new()))
    }

    fn out(open: u32) -> AttemptError {
        AttemptError::NoRoom {
            recovery: None,
            passed_over: PassedOver {
                full: 0,
                open,
                tried: 1,
                draining: 0,
            },
            expected_wait: None,
            dropped: None,
        }
    }

    fn ask(tier: usize, cluster: usize) -> Step {
        super::ask(tier, cluster, WaitsFor::Nothing)
    }

    fn wait(tier: usize, cluster: usize) -> Step {
        super::ask(tier, cluster, WaitsFor::Turn)
    }

    fn hold(tier: usize, cluster: usize) -> Step {
        super::ask(tier, cluster, WaitsFor::Replicas)
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
    fn who_has_failed_at_a_replica_waits_for_another() {
        let mut descent = Descent::new(vec![1, 2], false, 9);
        assert_eq!(descent.step(), wait(0, 0));
        for (error, next) in [
            (broken(), wait(0, 0)),
            (lacks_room(100), ask(1, 0)),
            (broken(), ask(1, 0)),
            (lacks_room(300), ask(1, 1)),
            (lacks_room(100), wait(1, 1)),
            (broken(), ask(1, 1)),
            (lacks_room(100), wait(1, 1)),
            (lacks_room(100), Step::GiveUp),
        ] {
            assert_eq!(descent.after(&error), next, "{error:?}");
        }
    }

    #[test]
    fn engines_that_are_not_there_cost_no_attempt_and_are_not_all_asked() {
        let mut descent = Descent::new(vec![2], false, 2);
        for next in [ask(0, 0), ask(0, 0), ask(0, 1), Step::GiveUp] {
            assert_eq!(descent.after(&absent()), next);
        }
        let mut descent = Descent::new(vec![1], false, 2);
        for (error, next) in [
            (absent(), wait(0, 0)),
            (broken(), wait(0, 0)),
            (absent(), wait(0, 0)),
            (broken(), Step::GiveUp),
        ] {
            assert_eq!(descent.after(&error), next, "{error:?}");
        }
    }

    #[test]
    fn where_nothing_answers_it_is_held_at_the_first_cluster_that_is_out() {
        let mut descent = Descent::new(vec![2, 1], true, 2).with_waiting(true, true);
        for (error, next) in [
            (no_room(None), ask(0, 1)),
            (absent(), ask(0, 1)),
            (out(0), wait(1, 0)),
            (out(1), hold(0, 1)),
            (absent(), hold(0, 1)),
            (absent(), hold(0, 1)),
            (absent(), hold(0, 1)),
            (out(1), Step::Canned),
        ] {
            assert_eq!(descent.after(&error), next, "{error:?}");
        }
        let mut descent = Descent::new(vec![1], false, 2).with_waiting(true, true);
        for (error, next) in [
            (absent(), wait(0, 0)),
            (out(0), hold(0, 0)),
            (broken(), hold(0, 0)),
            (broken(), Step::GiveUp),
        ] {
            assert_eq!(descent.after(&error), next, "{error:?}");
        }
        let mut full = Descent::new(vec![1], false, 2).with_waiting(true, true);
        assert_eq!(full.after(&lacks_room(1)), Step::GiveUp, "it is for those that are out");
    }

    #[test]
    fn tiers_and_clusters_in_order_then_the_canned_answer() {
        let mut descent = Descent::new(vec![2, 0, 1], true, 9);
        assert_eq!(descent.step(), ask(0, 0));
        assert_eq!(descent.after(&broken()), ask(0, 0), "another replica first");
        assert_eq!(descent.after(&no_room(None)), ask(0, 1));
        assert_eq!(
            descent.after(&no_room(None)),
            wait(2, 0),
            "an empty tier is passed over"
        );
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
