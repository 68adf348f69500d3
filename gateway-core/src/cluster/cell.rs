//! The cluster cell: in-flight requests and kv_cache of every replica, counted when a request is dispatched and not
//! when an engine reports it. Figures of the moment only: permits that nobody renews expire, and a cell that was
//! restarted learns running permits again from their renewals.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::{Breaker, BreakerPolicy};
use super::choice::{ReplicaUse, choose};
use super::permit::{Acquire, ClusterLoad, Held, Outcome, PermitId, Room};
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

/// What can be asked of a cluster cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterCommand {
    /// Choose a replica and hold a permit there.
    Acquire(Acquire),
    /// The permit's request still runs; it holds for `ttl` from now.
    Renew {
        /// The permit.
        held: Held,
        /// How long it holds without another renewal.
        ttl: Duration,
    },
    /// The permit's request has ended.
    Release(Release),
    /// Tell what every replica holds.
    Status,
}

/// The end of a permit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The permit's name.
    pub permit: PermitId,
    /// Where it was held; `None` when its holder never heard where.
    pub replica: Option<ReplicaName>,
    /// How its request ended.
    pub outcome: Outcome,
    /// When failures open the replica's breaker.
    pub breaker: BreakerPolicy,
}

/// What a cluster cell replies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterReply {
    /// To `Acquire`: held.
    Granted(Grant),
    /// To `Acquire`: no replica can take the request now.
    Refused(Refusal),
    /// To `Renew` and `Release`.
    Done,
    /// To `Status`: every replica that the cell knows.
    Status(Vec<ReplicaStatus>),
}

/// A permit was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Where to send the request.
    pub replica: ReplicaName,
    /// The cluster's load with this request in it.
    pub load: ClusterLoad,
}

/// No permit was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The cluster's load.
    pub load: ClusterLoad,
    /// Until the first open breaker lets a probe pass, where that is what is missing.
    pub recovery: Option<Duration>,
}

/// A replica at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Which.
    pub replica: ReplicaName,
    /// Requests in flight.
    pub running: u32,
    /// kv_cache held, in tokens.
    pub kv_tokens: Tokens,
    /// Whether its breaker lets requests pass.
    pub available: bool,
}

/// The state of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterCell {
    replicas: BTreeMap<ReplicaName, ReplicaState>,
    permits: BTreeMap<PermitId, Permit>,
    /// No permit expires before this moment.
    sweep_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ReplicaState {
    running: u32,
    kv_tokens: Tokens,
    breaker: Breaker,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Permit {
    replica: ReplicaName,
    kv_tokens: Tokens,
    expires: Timestamp,
}

impl ClusterCell {
    /// Runs one command.
    pub fn apply(&mut self, now: Timestamp, command: ClusterCommand) -> ClusterReply {
        self.sweep(now);
        let reply = match command {
            ClusterCommand::Acquire(acquire) => self.acquire(now, &acquire),
            ClusterCommand::Renew { held, ttl } => {
                self.renew(held, now + ttl);
                ClusterReply::Done
            }
            ClusterCommand::Release(release) => {
                self.release(now, &release);
                ClusterReply::Done
            }
            ClusterCommand::Status => ClusterReply::Status(self.status(now)),
        };
        debug_assert_eq!(self.check_invariants(), Ok(()));
        reply
    }

    /// What must hold after every command: each replica's figures are the sums over its permits, no permit expires
    /// before the next sweep, and nothing is kept of replicas that hold nothing and have done no wrong.
    ///
    /// # Errors
    /// What is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        let mut sums: BTreeMap<&ReplicaName, (u32, Tokens)> = BTreeMap::new();
        for (id, permit) in &self.permits {
            let sum = sums.entry(&permit.replica).or_default();
            sum.0 += 1;
            sum.1 += permit.kv_tokens;
            if permit.expires < self.sweep_at {
                return Err(format!("{id:?} expires before the next sweep"));
            }
        }
        for (name, state) in &self.replicas {
            let (running, kv_tokens) = sums.remove(name).unwrap_or_default();
            if (running, kv_tokens) != (state.running, state.kv_tokens) {
                return Err(format!(
                    "{name}: {state:?}, but its permits sum to {running} and {kv_tokens}"
                ));
            }
            if running == 0 && state.breaker == Breaker::default() {
                return Err(format!("{name} is kept for nothing"));
            }
        }
        if sums.is_empty() {
            Ok(())
        } else {
            Err(format!("permits at unknown replicas: {sums:?}"))
        }
    }

    fn acquire(&mut self, now: Timestamp, acquire: &Acquire) -> ClusterReply {
        if let Some(permit) = self.permits.get(&acquire.permit) {
            // The reply to the first asking was lost.
            let replica = permit.replica.clone();
            return ClusterReply::Granted(Grant {
                replica,
                load: self.load(now, acquire),
            });
        }
        let chosen = {
            let uses: Vec<_> = acquire
                .replicas
                .iter()
                .filter(|name| !acquire.tried.contains(name) && self.state(name).breaker.passes(now))
                .map(|replica| self.replica_use(replica))
                .collect();
            choose(
                &uses,
                acquire.affinity,
                acquire.kv_tokens,
                acquire.room.without(acquire.kept_percent),
            )
        };
        let Some(replica) = chosen.cloned() else {
            return ClusterReply::Refused(Refusal {
                load: self.load(now, acquire),
                recovery: self.recovery(now, acquire),
            });
        };
        let held = Held {
            permit: acquire.permit,
            replica: replica.clone(),
            kv_tokens: acquire.kv_tokens,
        };
        self.renew(held, now + acquire.ttl);
        self.replicas
            .entry(replica.clone())
            .or_default()
            .breaker
            .on_pass(acquire.permit);
        ClusterReply::Granted(Grant {
            replica,
            load: self.load(now, acquire),
        })
    }

    fn renew(&mut self, held: Held, expires: Timestamp) {
        self.sweep_at = if self.permits.is_empty() {
            expires
        } else {
            self.sweep_at.min(expires)
        };
        if let Some(permit) = self.permits.get_mut(&held.permit) {
            permit.expires = expires;
            return;
        }
        let state = self.replicas.entry(held.replica.clone()).or_default();
        state.running += 1;
        state.kv_tokens += held.kv_tokens;
        let permit = Permit {
            replica: held.replica,
            kv_tokens: held.kv_tokens,
            expires,
        };
        self.permits.insert(held.permit, permit);
    }

    fn release(&mut self, now: Timestamp, release: &Release) {
        let held_at = self.free(release.permit);
        // A permit that expired meanwhile still tells how its replica did.
        if let Some(replica) = held_at.as_ref().or(release.replica.as_ref()) {
            let state = self.replicas.entry(replica.clone()).or_default();
            state
                .breaker
                .on_outcome(now, release.permit, release.outcome, release.breaker);
            self.forget_if_idle(replica);
        }
    }

    /// Takes the permit out of its replica's figures, and tells which replica that was.
    fn free(&mut self, permit: PermitId) -> Option<ReplicaName> {
        let permit = self.permits.remove(&permit)?;
        if let Some(state) = self.replicas.get_mut(&permit.replica) {
            state.running -= 1;
            state.kv_tokens = Tokens(state.kv_tokens.0 - permit.kv_tokens.0);
        }
        Some(permit.replica)
    }

    fn forget_if_idle(&mut self, replica: &ReplicaName) {
        if self.state(replica) == ReplicaState::default() {
            self.replicas.remove(replica);
        }
    }

    /// Frees the permits that nobody renewed.
    fn sweep(&mut self, now: Timestamp) {
        if now <= self.sweep_at {
            return;
        }
        let expired: Vec<_> = self
            .permits
            .iter()
            .filter(|(_, permit)| permit.expires < now)
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            let Some(replica) = self.free(id) else { continue };
            let breaker = &mut self.replicas.entry(replica.clone()).or_default().breaker;
            breaker.on_outcome(now, id, Outcome::Unknown, UNUSED_POLICY);
            self.forget_if_idle(&replica);
        }
        self.sweep_at = self
            .permits
            .values()
            .map(|permit| permit.expires)
            .min()
            .unwrap_or_default();
    }

    fn load(&self, now: Timestamp, acquire: &Acquire) -> ClusterLoad {
        let Room {
            max_running,
            kv_cache_tokens,
        } = acquire.room;
        let mut load = ClusterLoad::default();
        for state in acquire
            .replicas
            .iter()
            .map(|name| self.state(name))
            .filter(|state| state.breaker.passes(now))
        {
            load.running += state.running;
            load.max_running = load.max_running.saturating_add(max_running);
            load.kv_tokens += state.kv_tokens;
            load.kv_cache_tokens += kv_cache_tokens;
        }
        load
    }

    fn recovery(&self, now: Timestamp, acquire: &Acquire) -> Option<Duration> {
        let untried = acquire.replicas.iter().filter(|name| !acquire.tried.contains(name));
        untried.filter_map(|name| self.state(name).breaker.recovery(now)).min()
    }

    fn status(&self, now: Timestamp) -> Vec<ReplicaStatus> {
        let status = |(replica, state): (&ReplicaName, &ReplicaState)| ReplicaStatus {
            replica: replica.clone(),
            running: state.running,
            kv_tokens: state.kv_tokens,
            available: state.breaker.passes(now),
        };
        self.replicas.iter().map(status).collect()
    }

    fn state(&self, replica: &ReplicaName) -> ReplicaState {
        self.replicas.get(replica).copied().unwrap_or_default()
    }

    fn replica_use<'a>(&self, replica: &'a ReplicaName) -> ReplicaUse<'a> {
        let ReplicaState { running, kv_tokens, .. } = self.state(replica);
        ReplicaUse {
            replica,
            running,
            kv_tokens,
        }
    }
}

/// An unknown outcome never opens a breaker, so that no policy is looked at.
const UNUSED_POLICY: BreakerPolicy = BreakerPolicy {
    failures: 1,
    open: Duration::ZERO,
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 1,
        open: Duration::from_secs(5),
    };
    const TTL: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1_000)
    }

    fn acquire(permit: u64) -> Acquire {
        Acquire {
            permit: PermitId(permit),
            kv_tokens: Tokens(40),
            replicas: vec!["http://a".into(), "http://b".into()],
            room: Room {
                max_running: 2,
                kv_cache_tokens: Tokens(100),
            },
            kept_percent: 0,
            tried: vec![],
            affinity: Some(1),
            ttl: TTL,
        }
    }

    fn granted(cell: &mut ClusterCell, now: Timestamp, acquire: Acquire) -> Option<ReplicaName> {
        match cell.apply(now, ClusterCommand::Acquire(acquire)) {
            ClusterReply::Granted(grant) => Some(grant.replica),
            ClusterReply::Refused(_) | ClusterReply::Done | ClusterReply::Status(_) => None,
        }
    }

    fn release(permit: u64, replica: Option<ReplicaName>, outcome: Outcome) -> ClusterCommand {
        ClusterCommand::Release(Release {
            permit: PermitId(permit),
            replica,
            outcome,
            breaker: POLICY,
        })
    }

    #[test]
    fn a_full_cluster_refuses_until_a_permit_ends() {
        let mut cell = ClusterCell::default();
        assert!((1..=4).all(|permit| granted(&mut cell, at(0), acquire(permit)).is_some()));
        assert_eq!(granted(&mut cell, at(0), acquire(5)), None);
        cell.apply(at(1), release(3, None, Outcome::Served));
        assert!(granted(&mut cell, at(1), acquire(5)).is_some());
    }

    #[test]
    fn what_is_kept_for_others_is_not_given_to_a_request_of_low_priority() {
        let mut cell = ClusterCell::default();
        let low = |permit| Acquire {
            kept_percent: 50,
            ..acquire(permit)
        };
        assert!((1..=2).all(|permit| granted(&mut cell, at(0), low(permit)).is_some()));
        assert_eq!(granted(&mut cell, at(0), low(3)), None);
        assert!((3..=4).all(|permit| granted(&mut cell, at(0), acquire(permit)).is_some()));
    }

    #[test]
    fn asking_twice_holds_once() {
        let mut cell = ClusterCell::default();
        let first = granted(&mut cell, at(0), acquire(1));
        assert_eq!(granted(&mut cell, at(0), acquire(1)), first);
        cell.apply(at(0), release(1, first, Outcome::Served));
        assert_eq!(cell.apply(at(0), ClusterCommand::Status), ClusterReply::Status(vec![]));
    }

    #[test]
    fn a_permit_that_nobody_renews_is_free_again_and_one_that_is_renewed_is_not() {
        let mut cell = ClusterCell::default();
        let replica = granted(&mut cell, at(0), acquire(1)).unwrap();
        granted(&mut cell, at(0), acquire(2));
        let held = Held {
            permit: PermitId(1),
            replica: replica.clone(),
            kv_tokens: Tokens(40),
        };
        cell.apply(at(20), ClusterCommand::Renew { held, ttl: TTL });
        let ClusterReply::Status(status) = cell.apply(at(31), ClusterCommand::Status) else {
            panic!("no status")
        };
        assert_eq!(status.iter().map(|status| status.running).sum::<u32>(), 1);
    }

    #[test]
    fn a_cell_that_was_restarted_learns_permits_from_renewals() {
        let mut cell = ClusterCell::default();
        let held = Held {
            permit: PermitId(9),
            replica: "http://a".into(),
            kv_tokens: Tokens(70),
        };
        cell.apply(at(0), ClusterCommand::Renew { held, ttl: TTL });
        assert_eq!(
            granted(&mut cell, at(0), acquire(1)),
            Some("http://b".into()),
            "40 do not fit beside 70 of 100"
        );
    }

    #[test]
    fn a_failing_replica_is_left_out_and_tells_when_it_recovers() {
        let mut cell = ClusterCell::default();
        for permit in [1, 2] {
            let replica = granted(&mut cell, at(0), acquire(permit));
            cell.apply(at(0), release(permit, replica, Outcome::Failed));
        }
        let ClusterReply::Refused(refusal) = cell.apply(at(2), ClusterCommand::Acquire(acquire(3))) else {
            panic!("both breakers are open")
        };
        assert_eq!(refusal.recovery, Some(Duration::from_secs(3)));
        assert_eq!(refusal.load.max_running, 0);
        assert!(granted(&mut cell, at(5), acquire(4)).is_some(), "one may probe");
    }

    #[test]
    fn what_was_tried_is_not_tried_again() {
        let mut cell = ClusterCell::default();
        let first = granted(&mut cell, at(0), acquire(1)).unwrap();
        let second = granted(
            &mut cell,
            at(0),
            Acquire {
                tried: vec![first.clone()],
                ..acquire(2)
            },
        )
        .unwrap();
        assert_ne!(first, second);
        assert_eq!(
            granted(
                &mut cell,
                at(0),
                Acquire {
                    tried: vec![first, second],
                    ..acquire(3)
                }
            ),
            None
        );
    }

    proptest! {
        #[test]
        fn figures_are_always_the_sums_over_permits(
            steps in prop::collection::vec((0_u8..4, 0_u64..12, 0_u64..20, 0_u8..3), 1..200),
        ) {
            let mut cell = ClusterCell::default();
            let mut now = 0;
            for (kind, permit, wait, outcome) in steps {
                now += wait;
                let held = Held { permit: PermitId(permit), replica: "http://c".into(), kv_tokens: Tokens(7) };
                let outcome = [Outcome::Served, Outcome::Failed, Outcome::Unknown][usize::from(outcome)];
                cell.apply(at(now), match kind {
                    0 | 1 => ClusterCommand::Acquire(acquire(permit)),
                    2 => ClusterCommand::Renew { held, ttl: TTL },
                    _ => release(permit, Some("http://a".into()), outcome),
                });
                prop_assert_eq!(cell.check_invariants(), Ok(()));
                let ClusterReply::Status(status) = cell.apply(at(now), ClusterCommand::Status) else { unreachable!() };
                for replica in status.iter().filter(|status| status.replica.as_str() != "http://c") {
                    prop_assert!(replica.running <= 2 && replica.kv_tokens <= Tokens(100));
                }
            }
            cell.apply(at(now + 31), ClusterCommand::Status);
            prop_assert!(cell.permits.is_empty(), "permits leaked");
        }
    }
}
