//! A cell in front of replicas that compute prompts one after the other, as engines do, and remember all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::cluster::breaker::BreakerPolicy;
use crate::cluster::cell::tests::say_signals;
use crate::cluster::choice::{ChoiceReason, Obstacle};
use crate::cluster::health::HealthPolicy;
use crate::cluster::hot::HotDigest;
use crate::cluster::message::{ClusterCommand, ClusterReply, Grant, Prefilled, Refusal, Release, Releases};
use crate::cluster::permit::{Outcome, PermitId};
use crate::cluster::policy::{ClusterPolicy, PrefillPolicy};
use crate::cluster::prompt::{Boundary, PromptOutline, TELLS_FROM, WarmAt};
use crate::cluster::signals::EngineFigures;
use crate::cluster::stateless::expected_place;
use crate::ids::PrefixKey;

const CONFIGURED: u32 = 10_000;
const MILLISECOND: u64 = 1_000;

struct World {
    cell: ClusterCell,
    /// Microseconds.
    now: u64,
    policy: ClusterPolicy,
    engines: Vec<Engine>,
    /// When which permit's prompt is computed, where, and since when it was under way.
    prefills: BTreeSet<(u64, u64, usize, u64)>,
    permits: u64,
    hot: HotSet,
}

struct Engine {
    tokens_per_s: u64,
    busy_until: u64,
    known: BTreeSet<PrefixKey>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
struct Sent {
    replica: usize,
    reason: ChoiceReason,
    first_token_in: u64,
    expected: u64,
}

impl World {
    fn new(speeds: &[u64], max_running: u32) -> Self {
        let engine = |tokens_per_s: &u64| Engine {
            tokens_per_s: *tokens_per_s,
            busy_until: 0,
            known: BTreeSet::new(),
        };
        let names = (0..speeds.len()).map(|index| format!("http://10.0.0.{index}:8000").as_str().into());
        Self {
            cell: ClusterCell::default(),
            now: 1_000_000,
            policy: ClusterPolicy {
                replicas: names.collect(),
                capacity: Capacity {
                    requests: max_running,
                    kv_tokens: Tokens(100_000_000),
                },
                prefill: PrefillPolicy {
                    tokens_per_s: CONFIGURED,
                    warm_penalty: Duration::from_secs(2),
                    // Where nobody waits, choices show.
                    most_queued: Duration::from_secs(600),
                },
                health: HealthPolicy::default(),
            },
            engines: speeds.iter().map(engine).collect(),
            prefills: BTreeSet::new(),
            permits: 0,
            hot: HotSet::default(),
        }
    }

    fn apply(&mut self, command: ClusterCommand) -> ClusterReply {
        let reply = self.cell.apply(Timestamp::from_micros(self.now), command);
        assert_eq!(self.cell.check_invariants(), Ok(()));
        reply
    }

    /// Goes on to that moment; prompts that are computed meanwhile are told of, and their requests end.
    fn go_to(&mut self, moment: u64) {
        while let Some((ends, permit, replica, began)) = self.prefills.first().copied().filter(|next| next.0 <= moment)
        {
            self.prefills.pop_first();
            self.now = ends;
            let (permit, replica) = (PermitId(permit), self.policy.replicas[replica].clone());
            let prefilled = Prefilled {
                permit,
                replica: replica.clone(),
                took: Some(Duration::from_micros(ends - began)),
            };
            self.apply(ClusterCommand::Release(Releases {
                releases: vec![Release::of_all(permit, Some(replica), Outcome::Served)],
                breaker: BreakerPolicy {
                    failures: 3,
                    open: Duration::from_secs(5),
                },
                prefilled: vec![prefilled],
                forgotten: Vec::new(),
                served: Default::default(),
            }));
        }
        self.now = moment;
    }

    fn wait(&mut self, millis: u64) {
        self.go_to(self.now + millis * MILLISECOND);
    }

    fn acquire(&mut self, affinity: u64, prompt: PromptOutline) -> Acquire {
        self.permits += 1;
        Acquire {
            permit: PermitId(self.permits),
            kv_tokens: prompt.tokens,
            spare: 0,
            policy: self.policy.clone().into(),
            headroom_percent: 0,
            tried: Vec::new(),
            affinity: Some(affinity),
            prompt,
            known_hot: self.hot.digest,
            ttl: Duration::from_secs(600),
            queueing: None,
            explains: false,
            is_new: false,
        }
    }

    fn send(&mut self, affinity: u64, prompt: &PromptOutline) -> Sent {
        let acquire = self.acquire(affinity, prompt.clone());
        let ClusterReply::Granted(grant) = self.apply(ClusterCommand::Acquire(acquire)) else {
            panic!("refused")
        };
        self.run(prompt, grant)
    }

    fn run(&mut self, prompt: &PromptOutline, grant: Grant) -> Sent {
        let Grant {
            replica,
            choice,
            expected,
            hot,
            ..
        } = grant;
        let replica = self
            .policy
            .replicas
            .iter()
            .position(|known| *known == replica)
            .expect("known");
        self.hot = hot.unwrap_or_else(|| self.hot.clone());
        let engine = &mut self.engines[replica];
        let is_known = |boundary: &&Boundary| engine.known.contains(&boundary.key);
        let cached = prompt
            .boundaries
            .iter()
            .take_while(is_known)
            .last()
            .map_or(0, |last| last.tokens.0);
        engine
            .known
            .extend(prompt.boundaries.iter().map(|boundary| boundary.key));
        let began = engine.busy_until.max(self.now);
        engine.busy_until = began + (prompt.tokens.0 - cached) * 1_000_000 / engine.tokens_per_s;
        self.prefills
            .insert((engine.busy_until, self.permits, replica, self.now));
        let expected = expected.expect("it is told");
        assert!(expected.warm <= prompt.tokens);
        Sent {
            replica,
            reason: choice.expect("it is told"),
            first_token_in: engine.busy_until - self.now,
            expected: u64::try_from(expected.first_token_in.as_micros()).expect("a short time"),
        }
    }

    /// How many of the requests each replica got.
    fn shares(&self, sent: &[Sent]) -> Vec<usize> {
        let count = |replica| sent.iter().filter(|sent| sent.replica == replica).count();
        (0..self.engines.len()).map(count).collect()
    }
}

/// A prompt of parts of that many tokens, each named by a number.
fn prompt(parts: &[(u64, u64)]) -> PromptOutline {
    let mut key = 0;
    let mut tokens = 0;
    let boundary = |(name, more): &(u64, u64)| {
        key = (key + name).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        tokens += more;
        Boundary {
            key: PrefixKey(key),
            tokens: Tokens(tokens),
        }
    };
    let boundaries = parts.iter().map(boundary).collect();
    PromptOutline {
        boundaries,
        ..PromptOutline::of_tokens(Tokens(tokens))
    }
}

fn key(prompt: &PromptOutline, place: usize) -> u64 {
    prompt.boundaries[place].key.0
}

#[test]
fn a_burst_of_unique_prompts_spreads_evenly_before_any_of_them_has_begun() {
    let mut world = World::new(&[10_000; 8], 64);
    let unique = |name| prompt(&[(name, 512), (name, 1_500)]);
    let sent: Vec<_> = (1..=100)
        .map(|name| world.send(key(&unique(name), 0), &unique(name)))
        .collect();
    let shares = world.shares(&sent);
    assert!(shares.iter().all(|share| (11..=14).contains(share)), "{shares:?}");
    assert!(
        sent.iter()
            .all(|sent| sent.first_token_in.abs_diff(sent.expected) <= 15 * MILLISECOND)
    );
}

#[test]
fn replicas_get_as_much_as_they_compute() {
    let mut world = World::new(&[5_000, 10_000, 20_000], 64);
    let send = |world: &mut World, count: u64| {
        let one = |name: u64| {
            world.wait(100);
            let tokens = 1_200 + name % 7 * 500;
            let unique = prompt(&[(name + world.now, 512), (name, tokens)]);
            world.send(key(&unique, 0), &unique)
        };
        (0..count).map(one).collect::<Vec<_>>()
    };
    send(&mut world, 200);
    let sent = send(&mut world, 700);
    let shares = world.shares(&sent);
    for (site, tokens_per_s) in [5_000.0, 10_000.0, 20_000.0].into_iter().enumerate() {
        let learned = world.cell.sites.get(site).expect("a site").tokens_per_s(CONFIGURED);
        let error = f64::from(learned) / tokens_per_s - 1.0;
        assert!(error.abs() < 0.15, "{tokens_per_s}: {learned}");
    }
    let off = |share: usize, expected: f64| (share as f64 / 700.0 / expected - 1.0).abs();
    assert!(
        off(shares[0], 1.0 / 7.0) < 0.3 && off(shares[2], 4.0 / 7.0) < 0.15,
        "{shares:?}"
    );
    let errors = sent.iter().map(|sent| sent.first_token_in.abs_diff(sent.expected));
    let mean = errors.sum::<u64>() / 700;
    assert!(mean < 60 * MILLISECOND, "{mean} us off");
}

#[test]
fn conversations_stay_and_the_index_is_believed() {
    let mut world = World::new(&[10_000; 4], 64);
    let turn = |name: u64, turns: u64| {
        let parts: Vec<_> = std::iter::once((name, 800))
            .chain((1..=turns).map(|turn| (turn, 300)))
            .collect();
        let presumed = if turns > 1 { 800 + (turns - 1) * 300 } else { 0 };
        PromptOutline {
            presumed: Tokens(presumed),
            ..prompt(&parts)
        }
    };
    let mut places = Vec::new();
    for turns in 1..6 {
        for name in 1..=40 {
            world.wait(60);
            let prompt = turn(name, turns);
            let sent = world.send(key(&prompt, 0), &prompt);
            if turns == 1 {
                places.push(sent.replica);
            }
            assert_eq!(
                sent.replica,
                places[name as usize - 1],
                "{name} in turn {turns}: {sent:?}"
            );
            assert!(turns == 1 || sent.reason == ChoiceReason::Warm, "{sent:?}");
        }
    }
    let elsewhere = (places[0] + 1) % 4;
    let told = PromptOutline {
        warm: vec![WarmAt {
            replica: world.policy.replicas[elsewhere].clone(),
            tokens: Tokens(9_000),
            ago: Duration::ZERO,
        }],
        ..turn(77, 3)
    };
    let sent = world.send(1, &told);
    assert_eq!((sent.replica, sent.reason), (elsewhere, ChoiceReason::Warm));
}

/// A cell that was restarted knows nothing; edges send to the stateless choice what they presume to be warm there.
#[test]
fn without_knowledge_a_conversation_goes_where_it_began() {
    for affinity in 0..20 {
        let mut world = World::new(&[10_000; 8], 64);
        let first = world.send(affinity, &prompt(&[(affinity, 900)]));
        assert_eq!(first.reason, ChoiceReason::First);
        world.wait(1_000);
        world.cell = ClusterCell::default();
        let next = PromptOutline {
            presumed: Tokens(900),
            ..prompt(&[(affinity, 900), (1, 300)])
        };
        let expected = expected_place(affinity, &next, &world.hot, &world.policy.replicas).expect("one");
        let next = world.send(affinity, &next);
        assert_eq!((next.replica, next.reason), (first.replica, ChoiceReason::Presumed));
        assert_eq!(
            (expected.replica, expected.reason),
            (first.replica, ChoiceReason::Presumed)
        );
    }
}

/// Questions over one long system prompt, each a conversation of its own; gives where they went.
fn ask(world: &mut World, count: u64, every_millis: u64) -> Vec<Sent> {
    let question = |number: u64| {
        world.wait(every_millis);
        let prompt = prompt(&[(1, 2_000), (2, 2_000), (number + world.now, 700)]);
        let hot = world.hot.longest(&prompt.boundaries).is_some();
        world.send(key(&prompt, if hot { 2 } else { 0 }), &prompt)
    };
    (0..count).map(question).collect()
}

#[test]
fn a_shared_prefix_stays_at_one_replica_while_that_can_take_it() {
    let mut world = World::new(&[10_000; 8], 64);
    let sent = ask(&mut world, 200, 500);
    let shares = world.shares(&sent);
    assert_eq!(shares.iter().filter(|share| **share > 0).count(), 1, "{shares:?}");
    assert!(sent[1..].iter().all(|sent| sent.first_token_in == 70 * MILLISECOND));
    assert_eq!(world.hot.prefixes.len(), 2, "edges are told");
}

#[test]
fn a_shared_prefix_spreads_over_as_many_replicas_as_its_load_needs() {
    let mut world = World::new(&[10_000; 8], 64);
    let sent = ask(&mut world, 600, 20);
    let settled = &sent[200..];
    let shares = world.shares(settled);
    let used = shares.iter().filter(|share| **share > 10).count();
    assert!((4..=8).contains(&used), "70 ms each, every 20 ms: {shares:?}");
    let mean = settled.iter().map(|sent| sent.first_token_in).sum::<u64>() / settled.len() as u64;
    assert!(mean < 300 * MILLISECOND, "{mean} us");
    let computed = settled
        .iter()
        .filter(|sent| sent.first_token_in > 1_000 * MILLISECOND)
        .count();
    assert_eq!(computed, 0);
}

#[test]
fn a_hot_prefix_goes_to_one_more_replica_where_those_that_have_it_run_more_than_others() {
    let mut world = World::new(&[10_000; 4], 64);
    let mut hold = |number: u64| {
        world.wait(500);
        let prompt = prompt(&[(1, 2_000), (2, 2_000), (number + 10, 10)]);
        let acquire = world.acquire(key(&prompt, 2), prompt);
        let ClusterReply::Granted(grant) = world.apply(ClusterCommand::Acquire(acquire)) else {
            panic!("there is room")
        };
        grant.choice
    };
    // Requests that run on, and have next to nothing to compute: nobody waits anywhere.
    let reasons: Vec<_> = (0..64).map(&mut hold).collect();
    let spread = reasons.iter().filter(|reason| **reason == Some(ChoiceReason::Spread));
    // Three of four replicas have a third more each than the mean, and about that is tolerated.
    assert!((2..=3).contains(&spread.count()), "{reasons:?}");
}

#[test]
fn a_full_first_choice_overflows_and_comes_back() {
    let mut world = World::new(&[10_000; 3], 2);
    let one = |name| PromptOutline {
        presumed: Tokens(5_000),
        ..prompt(&[(name, 5_600)])
    };
    let first = world.send(7, &one(1)).replica;
    assert_eq!(world.send(7, &one(2)).replica, first);
    let over = world.send(7, &one(3));
    assert_ne!(over.replica, first);
    assert_eq!(over.reason, ChoiceReason::Next(Obstacle::Full));
    world.wait(5_000);
    let back = world.send(7, &one(4));
    assert_eq!((back.replica, back.reason), (first, ChoiceReason::Presumed));
}

#[test]
fn long_prompts_are_kept_from_those_who_do_not_ask() {
    let mut world = World::new(&[10_000], 64);
    let lends = |world: &mut World, tokens| {
        let prompt = PromptOutline::of_tokens(Tokens(tokens));
        let acquire = world.acquire(1, prompt.clone());
        let ClusterReply::Granted(grant) = world.apply(ClusterCommand::Acquire(acquire)) else {
            panic!("refused")
        };
        let lent = grant.lent;
        world.run(&prompt, grant);
        lent.is_some()
    };
    assert!(lends(&mut world, 2_400) && lends(&mut world, 1_000));
    assert!(!lends(&mut world, 10), "0.34 s are queued");
    world.wait(100);
    assert!(lends(&mut world, 10));
}

#[test]
fn prompts_of_which_nobody_tells_are_taken_for_done_in_time() {
    let mut world = World::new(&[10_000; 2], 64);
    let small = PromptOutline::of_tokens(Tokens(TELLS_FROM.0 - 1));
    let acquires: Vec<_> = (0..4).map(|affinity| world.acquire(affinity, small.clone())).collect();
    for acquire in acquires {
        world.apply(ClusterCommand::Acquire(acquire));
    }
    let queued = |world: &World| -> u64 {
        let now = Timestamp::from_micros(world.now);
        let sites = (0..2).filter_map(|site| world.cell.sites.get(site));
        sites.map(|site| site.queued(now, CONFIGURED).as_micros() as u64).sum()
    };
    assert_eq!(queued(&world), 4 * 102_300);
    world.now += 103 * MILLISECOND;
    world.apply(ClusterCommand::Status);
    assert!(queued(&world) < 2 * 103_000, "{}", queued(&world));
    world.now += 103 * MILLISECOND;
    world.apply(ClusterCommand::Status);
    assert_eq!(queued(&world), 0);
}

#[test]
fn what_is_known_of_replicas_outlives_a_change_of_the_configuration() {
    let mut world = World::new(&[10_000; 4], 64);
    let ask = prompt(&[(1, 900)]);
    let place = world.send(5, &ask).replica;
    world.wait(1_000);
    let kept = world.policy.replicas[place].clone();
    world
        .policy
        .replicas
        .retain(|name| *name == kept || name.as_str() > "http://10.0.0.1");
    world.policy.replicas.insert(0, "http://1.1.1.1".into());
    let next = prompt(&[(1, 900), (2, 100)]);
    let acquire = world.acquire(9, next.clone());
    let ClusterReply::Granted(grant) = world.apply(ClusterCommand::Acquire(acquire)) else {
        panic!("refused")
    };
    assert_eq!((grant.replica, grant.choice), (kept, Some(ChoiceReason::Warm)));
}

#[test]
fn the_hot_set_is_told_to_those_who_know_another() {
    let mut world = World::new(&[10_000; 4], 64);
    ask(&mut world, 100, 300);
    let prompt = prompt(&[(1, 2_000), (2, 2_000), (77, 700)]);
    let mut told = |known| {
        let acquire = Acquire {
            known_hot: known,
            ..world.acquire(1, prompt.clone())
        };
        let ClusterReply::Granted(grant) = world.apply(ClusterCommand::Acquire(acquire)) else {
            panic!("refused")
        };
        grant.hot
    };
    let hot = told(HotDigest(1)).expect("it knows another");
    assert_eq!(hot.prefixes.len(), 2);
    assert!(hot.prefixes.iter().all(|prefix| prefix.warm.len() == 1));
    assert_eq!(told(hot.digest), None);
}

#[test]
fn a_replica_that_is_behind_with_prompts_gets_none_but_those_that_would_take_as_long_elsewhere() {
    let mut world = World::new(&[10_000], 100);
    world.policy.prefill.most_queued = Duration::from_secs(2);
    let conversation = prompt(&[(1, 30_000)]);
    world.send(1, &conversation);
    world.wait(4_000);
    for name in 2..5 {
        world.send(name, &prompt(&[(name, 10_000)]));
    }
    let is_refused = |world: &mut World, affinity, prompt: &PromptOutline| {
        let acquire = world.acquire(affinity, prompt.clone());
        matches!(
            world.apply(ClusterCommand::Acquire(acquire)),
            ClusterReply::Refused(Refusal {
                passed_over: PassedOver { full: 1, .. },
                ..
            })
        )
    };
    assert!(
        is_refused(&mut world, 6, &prompt(&[(6, 100)])),
        "three seconds are queued"
    );
    let sent = world.send(1, &prompt(&[(1, 30_000), (7, 100)]));
    assert_eq!(sent.reason, ChoiceReason::Warm);
    world.wait(1_100);
    assert!(!is_refused(&mut world, 6, &prompt(&[(6, 100)])));
}

#[test]
fn prompts_of_a_gateway_that_is_gone_are_forgotten_where_the_engine_has_nothing_to_do() {
    let mut world = World::new(&[10_000], 100);
    world.policy.prefill.most_queued = Duration::from_secs(2);
    let small = prompt(&[(9, 100)]);
    let dead = world.acquire(1, prompt(&[(1, 100_000)]));
    world.apply(ClusterCommand::Acquire(dead));
    let say = |world: &mut World| {
        let idle = (world.policy.replicas[0].clone(), EngineFigures::default());
        say_signals(|command| world.apply(command), vec![idle]);
    };
    let is_granted = |world: &mut World| {
        let acquire = world.acquire(2, small.clone());
        matches!(world.apply(ClusterCommand::Acquire(acquire)), ClusterReply::Granted(_))
    };
    world.now += 1_000 * MILLISECOND;
    say(&mut world);
    assert!(!is_granted(&mut world), "it may be on its way still");
    world.now += 3_000 * MILLISECOND;
    say(&mut world);
    assert!(is_granted(&mut world));
}

#[test]
fn short_prompts_of_which_nobody_tells_leave_a_replica_open_however_slow_it_is_said_to_be() {
    let mut world = World::new(&[27_000], 100);
    world.policy.prefill.most_queued = Duration::from_secs(2);
    world.policy.prefill.tokens_per_s = 100;
    for name in 1..50 {
        world.send(name, &prompt(&[(name, 300)]));
    }
}
