//! Who comes into a queue that is full, whose turn goes to others, and what is told of waits that were in vain.

use super::*;

fn bounded(requests: u32, asks: impl IntoIterator<Item = Ask>) -> Cluster {
    let mut cluster = Cluster::new(1, 1);
    cluster.bounds.requests = requests;
    assert_eq!(cluster.say(ask(0)), Said::Granted);
    for ask in asks {
        assert_eq!(cluster.say(ask), Said::Queued, "{}", ask.permit);
    }
    cluster
}

fn of(permit: u64, tenant: u64, priority: u8) -> Ask {
    Ask {
        tenant,
        priority,
        ..ask(permit)
    }
}

#[test]
fn a_tenant_that_fills_the_queue_makes_room_for_one_that_has_less_of_it() {
    let mut cluster = bounded(6, (1..=6).map(|permit| of(permit, 1, HIGH)));
    for permit in 11..=13 {
        assert_eq!(cluster.say(of(permit, 2, HIGH)), Said::Queued, "{permit}");
    }
    assert_eq!(
        cluster.say(of(14, 2, HIGH)),
        Said::Refused(Some(Dropped::QueueFull)),
        "both have half of it"
    );
    assert_eq!(cluster.say(of(7, 1, HIGH)), Said::Refused(Some(Dropped::QueueFull)));
    for (permit, said) in [(3, Said::Queued), (4, Said::Refused(Some(Dropped::Evicted)))] {
        assert_eq!(cluster.say(of(permit, 1, HIGH)), said, "the last ones went: {permit}");
    }
    assert_eq!(cluster.say(of(21, 3, NORMAL)), Said::Refused(Some(Dropped::QueueFull)));
    assert_eq!(cluster.status().requests, 6);
}

#[test]
fn large_bodies_count_as_many_small_ones() {
    let mut cluster = bounded(100, []);
    cluster.bounds.bytes = 4_000;
    for permit in 1..=4 {
        assert_eq!(cluster.say(of(permit, 1, HIGH)), Said::Queued);
    }
    assert_eq!(cluster.say(of(5, 2, HIGH)), Said::Queued);
    assert_eq!(cluster.say(of(4, 1, HIGH)), Said::Refused(Some(Dropped::Evicted)));
    assert!(cluster.status().bytes <= 4_000);
}

#[test]
fn who_would_be_shed_comes_in_the_place_of_one_like_it() {
    let mut cluster = Cluster::new(1, 1);
    cluster.bounds.requests = 40;
    assert_eq!(cluster.say(ask(0)), Said::Granted);
    let mut permit = 0;
    let mut fill = |cluster: &mut Cluster, tenant, times| {
        let admitted = (0..times).filter(|_| {
            permit += 0x9e37_79b9;
            cluster.say(of(permit, tenant, LOW)) == Said::Queued
        });
        admitted.count()
    };
    let mine = fill(&mut cluster, 1, 200);
    assert!((20..=32).contains(&mine), "{mine}");
    assert!(fill(&mut cluster, 2, 200) >= mine / 2);
    assert_eq!(
        cluster.status().requests,
        u32::try_from(mine).unwrap(),
        "and it is no fuller"
    );
}

#[test]
fn the_turn_of_one_that_asks_no_more_goes_to_the_next() {
    for (is_held, late_after) in [(false, 550), (true, 2_300)] {
        let mut cluster = waiting(&[]);
        for permit in [1, 2] {
            let mut acquire = cluster.acquire(ask(permit));
            if let Some(queueing) = &mut acquire.queueing {
                queueing.may_be_held = is_held;
            }
            let reply = cluster.cell.apply(at(0), ClusterCommand::Acquire(acquire));
            assert!(matches!(reply, ClusterReply::Queued(_)));
        }
        cluster.now = late_after;
        assert_eq!(cluster.say(ask(2)), Said::Queued);
        cluster.release(0);
        assert_eq!(cluster.turns(), [1]);
        assert_eq!(cluster.say(ask(2)), Said::Queued, "the first one may ask yet");
        cluster.now += 1;
        assert_eq!(cluster.turns(), [2], "but is late now");
        assert_eq!(cluster.say(ask(2)), Said::Granted);
        assert_eq!(
            cluster.say(ask(1)),
            Said::Queued,
            "it has its place, if it was not gone"
        );
        cluster.release(2);
        assert_eq!(cluster.turns(), [1]);
    }
}

#[test]
fn who_has_waited_in_vain_is_told_to_come_again_in_as_long() {
    let mut cluster = waiting(&[ask(1)]);
    for second in 1..7 {
        cluster.now = second * 1_000;
        assert_eq!(cluster.say(ask(1)), Said::Queued);
    }
    let in_vain = Ask {
        patience_ms: 0,
        waited_ms: 6_000,
        ..ask(1)
    };
    let ClusterReply::Refused(refusal) = cluster.reply(in_vain) else {
        panic!("another reply")
    };
    assert_eq!(
        refusal.expected_wait,
        Some(Duration::from_secs(6)),
        "nothing has become free"
    );
}

#[test]
fn who_matters_more_comes_in_the_place_of_one_that_matters_less_however_full_it_is() {
    let mut cluster = Cluster::new(1, 1);
    cluster.bounds.requests = 20;
    assert_eq!(cluster.say(ask(0)), Said::Granted);
    let low = (1..=100).filter(|permit| cluster.say(of(permit * 0x9e37_79b9, 1, LOW)) == Said::Queued);
    let low = low.count();
    assert!((10..=16).contains(&low), "{low}");
    for permit in 1_000..1_017 {
        assert_eq!(cluster.say(of(permit, 2, NORMAL)), Said::Queued, "{permit}");
    }
    assert_eq!(cluster.status().by_priority[1], 17);
    assert!(cluster.status().requests <= 20);
}

#[test]
fn a_low_priority_has_the_room_of_those_that_went_before_it_for_so_long() {
    let mut cluster = Cluster::new(1, 4);
    // A quarter of the room is for others.
    let low = Ask {
        priority: LOW,
        headroom_percent: 25,
        ..ask(1)
    };
    for permit in 10..13 {
        assert_eq!(cluster.say(ask(permit)), Said::Granted);
    }
    assert_eq!(cluster.say(low), Said::Queued);
    for permit in 13..21 {
        assert_eq!(cluster.say(ask(permit)), Said::Granted, "it is not for the low one");
        assert_eq!(cluster.say(low), Said::Queued);
        cluster.release(permit - 3);
    }
    assert_eq!(cluster.say(low), Said::Granted);
}

#[test]
fn room_at_a_replica_where_one_has_failed_is_for_others() {
    let mut cluster = Cluster::new(2, 1);
    let first = cluster.reply(ask(1));
    let ClusterReply::Granted(Grant { replica, .. }) = first else {
        panic!("{first:?}")
    };
    assert_eq!(cluster.say(ask(2)), Said::Granted);
    cluster.release(1);
    let again = |cluster: &mut Cluster| {
        let mut acquire = cluster.acquire(ask(3));
        acquire.tried = vec![replica.clone()];
        cluster.cell.apply(at(cluster.now), ClusterCommand::Acquire(acquire))
    };
    assert!(matches!(again(&mut cluster), ClusterReply::Queued(_)));
    assert_eq!(cluster.turns(), Vec::<u64>::new(), "the room is of no use to it");
    assert_eq!(cluster.say(ask(4)), Said::Granted);
    cluster.release(2);
    assert!(matches!(again(&mut cluster), ClusterReply::Granted(_)));
}
