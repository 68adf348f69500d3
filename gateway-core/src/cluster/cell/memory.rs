//! What replicas have lost of their memory, as engines' answers tell, or that there is no engine any more: what a cell takes
//! for warm there is put right at once. It goes by evidence alone, and by what came in: no client can have a replica's
//! memory forgotten by a prompt that no engine has computed.

use super::ClusterCell;
use crate::cluster::message::{Evidence, Missed};
use crate::ids::{ReplicaName, Tokens};
use crate::time::Timestamp;

impl ClusterCell {
    /// A replica has less in memory than was expected.
    pub(super) fn on_forgotten(&mut self, now: Timestamp, replica: &ReplicaName, evidence: &Evidence) {
        let Some(site) = self.sites.find(replica) else { return };
        match evidence {
            Evidence::Unreachable | Evidence::Loading => {
                if let Some(memory) = self.sites.memory_mut(site) {
                    memory.forget_until(now);
                }
                self.shared.forget_site(site);
            }
            Evidence::Missed(missed) => {
                let holds = self.permits.held(replica).kv_tokens;
                self.on_missed(now, (site, holds), missed);
            }
        }
    }

    /// Of what an engine had once computed whole it has less now. Where hardly anything has come in since, and hardly
    /// anything is left, it has begun anew; else what was used longer ago has made room too.
    fn on_missed(&mut self, now: Timestamp, (site, holds): (usize, Tokens), missed: &Missed) {
        let Some((last, before)) = missed.boundaries.split_last() else {
            return;
        };
        let first_lost = before.partition_point(|boundary| boundary.tokens <= missed.cached);
        let Some(lost) = self.recent.computed(&before[first_lost..], site) else {
            return;
        };
        let Some(memory) = self.sites.memory_mut(site) else {
            return;
        };
        let is_little = missed.cached.0 <= lost.tokens.0 / LITTLE;
        if is_little && memory.is_lost(lost.sent, holds) {
            memory.forget_before(now - missed.ago);
            self.shared.forget_site(site);
        } else {
            memory.forget_until(lost.sent.at);
        }
        // It has all of this prompt now.
        let mark = memory.mark(now);
        self.recent.on_sent(mark, &missed.boundaries, site);
        self.recent.on_computed(last.key, site);
        self.shared.on_computed(&missed.boundaries, site);
    }
}

/// An engine that has begun anew has less than this part of a prompt: beginnings that others share, at most.
const LITTLE: u64 = 8;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::breaker::BreakerPolicy;
    use crate::cluster::choice::ChoiceReason;
    use crate::cluster::health::HealthPolicy;
    use crate::cluster::hot::HotDigest;
    use crate::cluster::message::{Acquire, ClusterCommand, ClusterReply, Forgotten, Prefilled, Release, Releases};
    use crate::cluster::permit::{Capacity, Outcome, PermitId};
    use crate::cluster::policy::{ClusterPolicy, PrefillPolicy};
    use crate::cluster::prompt::{Boundary, PromptOutline, WarmAt};
    use crate::ids::PrefixKey;

    const KV_CACHE: u64 = 100_000;

    /// Two replicas, of which all prompts prefer the same one.
    #[derive(Default)]
    struct World {
        cell: ClusterCell,
        seconds: u64,
        permits: u64,
    }

    impl World {
        fn apply(&mut self, command: ClusterCommand) -> ClusterReply {
            let reply = self
                .cell
                .apply(Timestamp::from_millis(1_000_000 + self.seconds * 1_000), command);
            assert_eq!(self.cell.check_invariants(), Ok(()));
            reply
        }

        /// Prompts are answered, and end with that.
        fn tell(&mut self, prefilled: Vec<Prefilled>, forgotten: Vec<Forgotten>) {
            let ended = prefilled
                .iter()
                .map(|told| Release::of_all(told.permit, None, Outcome::Unknown));
            let breaker = BreakerPolicy {
                failures: 3,
                open: Duration::from_secs(5),
            };
            self.apply(ClusterCommand::Release(Releases {
                releases: ended.collect(),
                breaker,
                prefilled,
                forgotten,
                served: Default::default(),
            }));
        }

        /// Sends a prompt a second after the one before; its engine begins to answer, unless its client leaves.
        fn send_and(&mut self, prompt: PromptOutline, is_answered: bool) -> (ReplicaName, ChoiceReason) {
            self.seconds += 1;
            self.permits += 1;
            let permit = PermitId(self.permits);
            let acquire = Acquire {
                permit,
                kv_tokens: prompt.tokens,
                spare: 0,
                policy: policy().into(),
                headroom_percent: 0,
                tried: Vec::new(),
                affinity: Some(7),
                prompt,
                known_hot: HotDigest::default(),
                queueing: None,
                explains: false,
                is_new: false,
                ttl: Duration::from_secs(600),
            };
            let ClusterReply::Granted(grant) = self.apply(ClusterCommand::Acquire(acquire)) else {
                panic!("refused")
            };
            let took = is_answered.then_some(Duration::from_millis(200));
            let replica = grant.replica.clone();
            self.tell(vec![Prefilled { permit, replica, took }], Vec::new());
            (grant.replica, grant.choice.expect("it is told"))
        }

        fn send(&mut self, prompt: PromptOutline) -> ChoiceReason {
            self.send_and(prompt, true).1
        }

        /// The engine has told how much of that prompt, the latest, it had.
        fn miss(&mut self, prompt: PromptOutline, cached: u64) {
            let replica = self.replica();
            let missed = Missed {
                boundaries: prompt.boundaries,
                cached: Tokens(cached),
                ago: Duration::ZERO,
            };
            let evidence = Evidence::Missed(missed);
            self.tell(Vec::new(), vec![Forgotten { replica, evidence }]);
        }

        /// The replica that all prefer.
        fn replica(&self) -> ReplicaName {
            let fresh = &mut Self::default();
            fresh.send_and(turn(0, 1), true).0
        }
    }

    fn policy() -> ClusterPolicy {
        ClusterPolicy {
            replicas: vec!["http://a".into(), "http://b".into()],
            capacity: Capacity {
                requests: 64,
                kv_tokens: Tokens(KV_CACHE),
            },
            prefill: PrefillPolicy::default(),
            health: HealthPolicy::default(),
        }
    }

    /// Turn `count` of a conversation of that name, of 5,000 tokens and 2,000 more with each.
    fn turn(name: u64, count: u64) -> PromptOutline {
        let boundary = |turn: u64| Boundary {
            key: PrefixKey(name * 1_000 + turn),
            tokens: Tokens(3_000 + turn * 2_000),
        };
        PromptOutline {
            boundaries: (1..=count).map(boundary).collect(),
            ..PromptOutline::of_tokens(Tokens(3_000 + count * 2_000))
        }
    }

    #[test]
    fn a_replica_that_has_begun_anew_is_cold_for_all_at_once() {
        let mut world = World::default();
        for name in 1..=3 {
            world.send(turn(name, 1));
        }
        assert_eq!(world.send(turn(1, 2)), ChoiceReason::Warm);
        world.miss(turn(1, 2), 100);
        for name in 2..=3 {
            assert_eq!(world.send(turn(name, 2)), ChoiceReason::First, "{name}");
        }
        assert_eq!(
            world.send(turn(1, 3)),
            ChoiceReason::Warm,
            "it was computed there since"
        );
    }

    #[test]
    fn what_had_to_make_room_takes_along_what_is_older_and_nothing_newer() {
        let mut world = World::default();
        for name in 1..=3 {
            world.send(turn(name, 1));
        }
        // Half of the cache comes in.
        for name in 10..20 {
            world.send(turn(name, 1));
        }
        assert_eq!(world.send(turn(2, 2)), ChoiceReason::Warm);
        world.miss(turn(2, 2), 0);
        assert_ne!(world.send(turn(1, 2)), ChoiceReason::Warm);
        assert_eq!(world.send(turn(3, 2)), ChoiceReason::Warm);
    }

    #[test]
    fn a_prompt_that_no_engine_has_answered_is_no_evidence() {
        let mut world = World::default();
        world.send(turn(1, 1));
        world.send_and(turn(2, 1), false);
        assert_eq!(world.send(turn(2, 2)), ChoiceReason::Warm);
        world.miss(turn(2, 2), 0);
        assert_eq!(world.send(turn(1, 2)), ChoiceReason::Warm);
    }

    #[test]
    fn a_replica_that_nobody_can_connect_to_has_nothing_in_memory() {
        let mut world = World::default();
        world.send(turn(1, 1));
        let replica = world.replica();
        let evidence = Evidence::Unreachable;
        world.tell(Vec::new(), vec![Forgotten { replica, evidence }]);
        assert_eq!(world.send(turn(1, 2)), ChoiceReason::First);
        assert_eq!(world.send(turn(1, 3)), ChoiceReason::Warm);
    }

    #[test]
    fn what_was_not_used_while_two_whole_caches_came_in_is_gone_whoever_tells_of_it() {
        let mut world = World::default();
        world.send(turn(1, 1));
        let told = |world: &World, ago| PromptOutline {
            warm: vec![WarmAt {
                replica: world.replica(),
                tokens: Tokens(5_000),
                ago: Duration::from_secs(ago),
            }],
            ..turn(900, 3)
        };
        let first = world.replica();
        let mut sent = 0;
        while sent < 2 * KV_CACHE + 10_000 {
            let (replica, _) = world.send_and(turn(1_000 + sent, 1), true);
            sent += if replica == first { 5_000 } else { 0 };
        }
        assert_eq!(world.send(turn(1, 2)), ChoiceReason::First);
        let (of_now, of_then) = (told(&world, 0), told(&world, world.seconds));
        assert_eq!(world.send(of_then), ChoiceReason::First);
        assert_eq!(world.send(of_now), ChoiceReason::Warm);
    }
}
