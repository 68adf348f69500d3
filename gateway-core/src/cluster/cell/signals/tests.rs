use std::time::Duration;

use super::*;
use crate::cluster::cell::tests::{acquire, at, granted, policy, release};
use crate::cluster::message::{Acquire, ClusterCommand, ClusterReply};
use crate::cluster::permit::{ClusterLoad, Outcome};
use crate::cluster::signals::KvUsed;

const EVERY: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(3);
const NONE: EngineFigures = EngineFigures {
    running: 0,
    waiting: 0,
    kv_used: None,
};

/// A turn that has as long as turns are apart.
const ASK: AskForTurn = AskForTurn {
    every: EVERY,
    lasts: EVERY,
};

fn running(running: u32) -> EngineFigures {
    EngineFigures { running, ..NONE }
}

fn turn(cell: &mut ClusterCell, now: Timestamp) -> PollTurn {
    let ask = ClusterCommand::AskForTurn(ASK);
    let reply = cell.apply(now, ask);
    let ClusterReply::PollTurn(turn) = reply else {
        panic!("{reply:?}")
    };
    turn
}

fn tell(cell: &mut ClusterCell, now: Timestamp, turn: u64, read: &[(&str, EngineFigures)]) {
    let read = read.iter().map(|(name, figures)| (ReplicaName::from(*name), *figures));
    let told = TellSignals {
        turn,
        ttl: TTL,
        read: read.collect(),
    };
    cell.apply(now, ClusterCommand::TellSignals(told));
}

/// A cell that knows its policy, and what its engines said at second 0.
fn told(read: &[(&str, EngineFigures)]) -> ClusterCell {
    let mut cell = ClusterCell::default();
    granted(&mut cell, at(0), acquire(1));
    cell.apply(at(0), release(1, None, Outcome::Unknown));
    let turn = turn(&mut cell, at(0)).turn.expect("the first turn");
    tell(&mut cell, at(0), turn, read);
    cell
}

fn load(cell: &mut ClusterCell, now: Timestamp) -> ClusterLoad {
    let reply = cell.apply(now, ClusterCommand::Acquire(acquire(999)));
    let ClusterReply::Granted(grant) = reply else {
        panic!("{reply:?}")
    };
    cell.apply(now, release(999, None, Outcome::Unknown));
    grant.load
}

/// Where `count` requests go that come at that moment.
fn placed(cell: &mut ClusterCell, now: Timestamp, count: u64) -> Vec<String> {
    let placed = (0..count).map(|index| granted(cell, now, acquire(10 + index)));
    placed
        .map(|replica| replica.map_or_else(String::new, |replica| replica.to_string()))
        .collect()
}

#[test]
fn one_asker_has_the_turn_and_the_next_one_comes_when_it_is_time() {
    let mut cell = ClusterCell::default();
    let first = turn(&mut cell, at(0));
    assert_eq!((first.turn, first.next_in), (Some(1), EVERY));
    let other = turn(&mut cell, at(0) + EVERY / 4);
    assert_eq!((other.turn, other.next_in), (None, EVERY * 3 / 4));
    // Whoever had the turn may be gone: nobody waits for it.
    assert_eq!(turn(&mut cell, at(1)).turn, Some(2));
}

#[test]
fn what_is_told_too_late_is_not_taken() {
    let mut cell = told(&[]);
    let late = turn(&mut cell, at(40)).turn.expect("a turn");
    turn(&mut cell, at(42));
    tell(&mut cell, at(42), late, &[("http://a", running(2))]);
    assert_eq!(load(&mut cell, at(42)).signals.stale, 2);
}

#[test]
fn engines_that_say_nothing_are_asked_seldom() {
    let mut cell = told(&[]);
    let next = turn(&mut cell, at(1));
    assert_eq!((next.turn, next.next_in), (None, EVERY * (SELDOM - 1)));
    assert!(!load(&mut cell, at(9)).signals.is_due);
    assert!(load(&mut cell, at(10)).signals.is_due);
}

#[test]
fn what_others_have_sent_takes_room_while_it_is_fresh() {
    for full in ["http://a", "http://b"] {
        let mut cell = told(&[(full, running(2))]);
        assert_eq!(load(&mut cell, at(1)).running, 3, "its own and two of others");
        let elsewhere = placed(&mut cell, at(3), 2);
        assert!(elsewhere.iter().all(|replica| replica != full), "{elsewhere:?}");
    }
    let mut cell = told(&[("http://a", running(2)), ("http://b", NONE)]);
    assert_eq!(load(&mut cell, at(3)).signals.stale, 0);
    let stale = load(&mut cell, at(4));
    assert_eq!((stale.running, stale.signals.stale), (1, 2));
}

#[test]
fn a_replica_with_others_requests_waiting_gets_nothing_while_another_has_none() {
    for waits in ["http://a", "http://b"] {
        let figures = EngineFigures { waiting: 1, ..NONE };
        let mut cell = told(&[(waits, figures)]);
        let replicas = placed(&mut cell, at(1), 3);
        assert!(replicas[..2].iter().all(|replica| replica != waits), "{replicas:?}");
        assert_eq!(replicas[2], waits, "then there is no other");
    }
}

#[test]
fn a_kv_cache_that_others_fill_takes_room() {
    let kv_used = KvUsed::of_share(0.7);
    for full in ["http://a", "http://b"] {
        let mut cell = told(&[(full, EngineFigures { kv_used, ..running(1) })]);
        let replicas = placed(&mut cell, at(1), 2);
        assert!(replicas.iter().all(|replica| replica != full), "{replicas:?}");
    }
}

#[test]
fn what_was_held_while_it_was_asked_is_its_own() {
    let mut cell = told(&[("http://a", NONE)]);
    // In flight when the turn begins, ended before it is told.
    assert_eq!(placed(&mut cell, at(40), 4).len(), 4);
    let asked = turn(&mut cell, at(41)).turn.expect("a turn");
    for permit in 10..14 {
        cell.apply(at(41), release(permit, None, Outcome::Unknown));
    }
    tell(
        &mut cell,
        at(41),
        asked,
        &[("http://a", running(2)), ("http://b", running(2))],
    );
    assert_eq!(load(&mut cell, at(41)).running, 1);
    // A gauge may lag behind by a turn, and not for ever.
    let asked = turn(&mut cell, at(42)).turn.expect("a turn");
    tell(
        &mut cell,
        at(42),
        asked,
        &[("http://a", running(2)), ("http://b", running(2))],
    );
    assert_eq!(load(&mut cell, at(42)).running, 1);
    turn(&mut cell, at(43));
    let asked = turn(&mut cell, at(44)).turn.expect("a turn");
    tell(
        &mut cell,
        at(44),
        asked,
        &[("http://a", running(2)), ("http://b", running(2))],
    );
    assert!(load(&mut cell, at(44)).running > 1);
}

#[test]
fn engines_that_all_say_they_are_full_stop_nothing() {
    let lies = EngineFigures {
        running: 1_000_000,
        waiting: 1_000_000,
        kv_used: KvUsed::of_share(1.0),
    };
    let mut cell = told(&[("http://a", lies), ("http://b", lies)]);
    let mut replicas = placed(&mut cell, at(1), 5);
    replicas.sort();
    assert_eq!(replicas, ["", "http://a", "http://a", "http://b", "http://b"]);
}

#[test]
fn nothing_is_lent_where_others_ask_too() {
    let roomy = Capacity {
        requests: 64,
        kv_tokens: Tokens(1_000_000),
    };
    let lent = |read: &[(&str, EngineFigures)]| {
        let mut cell = told(&[]);
        let ask = |permit, spare| Acquire {
            spare,
            policy: policy(&["http://a"], roomy),
            ..acquire(permit)
        };
        granted(&mut cell, at(40), ask(1, 0));
        let asked = turn(&mut cell, at(40)).turn.expect("a turn");
        tell(&mut cell, at(40), asked, read);
        let reply = cell.apply(at(40), ClusterCommand::Acquire(ask(2, 4)));
        let ClusterReply::Granted(grant) = reply else {
            panic!("{reply:?}")
        };
        grant.lent
    };
    assert_eq!(lent(&[("http://a", running(1))]), Some(4));
    assert_eq!(lent(&[("http://a", running(9))]), None);
}

#[test]
fn a_turn_lasts_until_it_is_told_or_its_time_is_over() {
    let long = AskForTurn {
        lasts: EVERY * 3,
        ..ASK
    };
    let mut cell = ClusterCell::default();
    cell.apply(at(0), ClusterCommand::Acquire(acquire(1)));
    let ask = |cell: &mut ClusterCell, now| match cell.apply(now, ClusterCommand::AskForTurn(long.clone())) {
        ClusterReply::PollTurn(turn) => turn.turn,
        other @ (ClusterReply::Granted(_)
        | ClusterReply::Refused(_)
        | ClusterReply::Queued(_)
        | ClusterReply::Extended(_)
        | ClusterReply::Done
        | ClusterReply::Status(_)
        | ClusterReply::Queue(_)
        | ClusterReply::PolicyUnknown
        | ClusterReply::DrainSet(_)
        | ClusterReply::Scale(_)) => panic!("{other:?}"),
    };
    let begun = at(10);
    assert_eq!(ask(&mut cell, begun), Some(1));
    assert_eq!(
        ask(&mut cell, begun + EVERY * 2),
        None,
        "its holder asks engines that are slow"
    );
    tell(&mut cell, begun + EVERY * 2, 1, &[("http://a", running(3))]);
    assert_eq!(
        ask(&mut cell, begun + EVERY * 2),
        Some(2),
        "more time than turns are apart has passed"
    );
    assert_eq!(ask(&mut cell, begun + EVERY * 4), None);
    assert_eq!(ask(&mut cell, begun + EVERY * 5), Some(3), "its holder has died");
}

/// Small numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Whatever engines say and whoever tells it when, there is room exactly where the cell's own count has some.
#[test]
fn signals_of_any_kind_change_the_order_and_nothing_else() {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    let (mut cell, mut now, mut held, mut last) = (ClusterCell::default(), at(0), Vec::new(), 0);
    for permit in 0..20_000_u64 {
        now = now + Duration::from_millis(random.below(400));
        match random.below(8) {
            0 => last = turn(&mut cell, now).turn.unwrap_or(last),
            1 | 2 => {
                let any = |random: &mut Random| EngineFigures {
                    running: [0, 1, 2, 5, u32::MAX][random.below(5) as usize],
                    waiting: [0, 0, 1, u32::MAX][random.below(4) as usize],
                    kv_used: [None, KvUsed::of_share(0.4), KvUsed::of_share(1.0)][random.below(3) as usize],
                };
                let read = [
                    ("http://a", any(&mut random)),
                    ("http://c", any(&mut random)),
                    ("http://b", any(&mut random)),
                ];
                let count = random.below(4) as usize;
                let turn = last.saturating_sub(random.below(2));
                tell(&mut cell, now, turn, &read[..count]);
            }
            3 | 4 if !held.is_empty() => {
                let ended = held.swap_remove(random.below(held.len() as u64) as usize);
                cell.apply(now, release(ended, None, Outcome::Served));
            }
            _ => {
                // Two replicas with room for two requests each, of which every one takes 40 of 100 tokens.
                let is_granted = granted(&mut cell, now, acquire(permit)).is_some();
                assert_eq!(is_granted, held.len() < 4, "{permit}");
                held.extend(is_granted.then_some(permit));
            }
        }
        // They are renewed as long as they run.
        for permit in &held {
            let replica = cell
                .permits
                .replica(crate::cluster::PermitId(*permit))
                .cloned()
                .expect("it is held");
            let capacity = Capacity::of_one(Tokens(40));
            let permit = crate::cluster::PermitId(*permit);
            let held = crate::cluster::HeldPermit {
                permit,
                replica,
                capacity,
            };
            cell.renew(now, vec![held], TTL * 20);
        }
    }
}
