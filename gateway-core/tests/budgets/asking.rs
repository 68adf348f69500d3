//! What goes on in a cache while its cell is being asked.

use std::time::Duration;

use tidegate_core::budget::{
    BudgetCell, BudgetCommand, BudgetLimits, BudgetReply, LeaseCache, Leased, LeaseholderId, NotReserved, Rate,
    Shortage,
};
use tidegate_core::time::Timestamp;

const TTL: Duration = Duration::from_secs(30);
const LIMITS: BudgetLimits = BudgetLimits {
    tokens: Some(Rate {
        per_minute: 60,
        burst: 1_000,
    }),
    requests: None,
    tokens_per_day: None,
    concurrent_requests: None,
    day_starts_at_minute: 0,
};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn asked(cache: &mut LeaseCache, cell: &mut BudgetCell, millis: u64, need: u64) -> Leased {
    asked_with(LIMITS, cache, cell, millis, (need, 0))
}

fn asked_with(
    limits: BudgetLimits,
    cache: &mut LeaseCache,
    cell: &mut BudgetCell,
    millis: u64,
    need: (u64, u8),
) -> Leased {
    let lease = cache.ask(at(millis), Some(need), limits, TTL);
    match cell.apply(at(millis), BudgetCommand::Lease(lease)) {
        BudgetReply::Leased(leased) => *leased,
        other @ (BudgetReply::Done | BudgetReply::Status(_)) => panic!("{other:?}"),
    }
}

/// A cache that holds a hundred tokens, which a request waited for that has left, and its cell.
fn with_a_lease() -> (LeaseCache, BudgetCell) {
    let (mut cache, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    cache.on_waiting(100);
    let leased = asked(&mut cache, &mut cell, 0, 70);
    assert_eq!(cache.on_leased(at(0), leased), Some(Ok(())));
    cache.on_waited(100);
    assert_eq!(cache.held().tokens, 100);
    (cache, cell)
}

#[test]
fn nobody_else_spends_what_the_asking_request_counts_on() {
    let (mut cache, mut cell) = with_a_lease();
    assert_eq!(cache.clone().reserve(at(1), 80, 0), Ok(()), "it holds as much");
    let leased = asked(&mut cache, &mut cell, 1, 90);
    assert_eq!(cache.reserve(at(2), 80, 0), Err(NotReserved::Asking));
    assert_eq!(cache.on_leased(at(3), leased), Some(Ok(())));
    assert_eq!(cache.debt(), 0);
}

#[test]
fn what_is_too_little_goes_back_where_others_find_it() {
    let (mut cache, mut cell) = with_a_lease();
    let leased = asked(&mut cache, &mut cell, 1, 1_000);
    assert_eq!(cache.held().tokens, 0, "it is too little for the one that asks");
    assert!(cache.on_leased(at(2), leased).is_some_and(|leased| leased.is_err()));
    // Of a thousand tokens seventy were spent.
    let mut other = LeaseCache::new(LeaseholderId(2), at(0));
    let leased = asked(&mut other, &mut cell, 3, 930);
    assert_eq!(other.on_leased(at(4), leased), Some(Ok(())));
}

#[test]
fn a_request_that_asks_for_less_than_a_denied_one_asks_and_others_wait() {
    let headroom_percent = 25;
    let (mut cache, mut cell) = with_a_lease();
    let leased = asked_with(LIMITS, &mut cache, &mut cell, 1, (800, headroom_percent));
    assert_eq!(
        cache.on_leased(at(2), leased).unwrap().unwrap_err().short,
        Shortage::TooLarge
    );
    let denied =
        |cache: &mut LeaseCache, tokens, headroom_percent| cache.reserve(at(5), tokens, headroom_percent).unwrap_err();
    assert_eq!(
        denied(&mut cache, 600, headroom_percent),
        NotReserved::Ask,
        "that says nothing of it"
    );
    let mut other = LeaseCache::new(LeaseholderId(2), at(0));
    let leased = asked(&mut other, &mut cell, 3, 200);
    assert_eq!(other.on_leased(at(3), leased), Some(Ok(())));
    let leased = asked_with(LIMITS, &mut cache, &mut cell, 4, (600, headroom_percent));
    assert_eq!(
        cache.on_leased(at(4), leased).unwrap().unwrap_err().short,
        Shortage::Priority
    );
    assert_eq!(
        denied(&mut cache, 300, headroom_percent),
        NotReserved::Ask,
        "half as large"
    );
    assert_eq!(denied(&mut cache, 600, 0), NotReserved::Ask, "of higher priority");
    assert!(matches!(
        denied(&mut cache, 400, headroom_percent),
        NotReserved::Denied(_)
    ));
}

#[test]
fn what_was_counted_on_is_given_back_when_nobody_knows_the_reply() {
    let (mut cache, mut cell) = with_a_lease();
    cache.on_waiting(10);
    asked(&mut cache, &mut cell, 1, 90);
    cache.on_left();
    assert_eq!(cache.held().tokens, 10, "the cell may have granted the others");
    assert_eq!(cache.reserve(at(2), 11, 0), Err(NotReserved::Ask));
}

#[test]
fn a_reply_that_is_not_awaited_any_more_admits_nobody() {
    let (mut cache, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    let late = asked(&mut cache, &mut cell, 0, 400);
    let leased = asked(&mut cache, &mut cell, 1, 700);
    assert!(!cache.is_asking(late.sequence) && cache.is_asking(leased.sequence));
    assert_eq!(cache.on_leased(at(2), late), None);
    // What was granted then is there again for the one that asked after it.
    assert_eq!(cache.on_leased(at(2), leased), Some(Ok(())));
}

#[test]
fn who_waits_is_lent_what_it_needs_and_a_small_budget_lends_nothing_ahead() {
    let (mut cache, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    for waiting in [0, 300, 0] {
        (0..waiting / 100).for_each(|_| cache.on_waiting(100));
        let leased = asked(&mut cache, &mut cell, 0, 100);
        assert_eq!(cache.on_leased(at(0), leased), Some(Ok(())));
        assert_eq!(cache.held().tokens, waiting);
        (0..waiting / 100).for_each(|_| {
            cache.on_waited(100);
            assert_eq!(cache.reserve(at(0), 100, 0), Ok(()));
        });
    }
    assert_eq!(cache.upkeep(at(2_000)), None);
}

#[test]
fn who_waits_is_lent_a_slot_to_run_in() {
    let limits = BudgetLimits {
        concurrent_requests: Some(64),
        ..LIMITS
    };
    let (mut cache, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    let first = asked_with(limits, &mut cache, &mut cell, 0, (10, 0));
    (0..46).for_each(|_| cache.on_waiting(10));
    assert_eq!(cache.on_leased(at(1), first), Some(Ok(())));
    let second = asked_with(limits, &mut cache, &mut cell, 1, (10, 0));
    assert_eq!(cache.on_leased(at(2), second), Some(Ok(())));
    assert_eq!(cache.upkeep(at(2)), None, "nothing goes back that somebody waits for");
    for _ in 0..46 {
        cache.on_waited(10);
        assert_eq!(cache.reserve(at(2), 10, 0), Ok(()));
    }
}

#[test]
fn who_waited_in_vain_is_told_what_was_short() {
    let limits = BudgetLimits {
        concurrent_requests: Some(1),
        ..LIMITS
    };
    let (mut cache, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    let leased = asked_with(limits, &mut cache, &mut cell, 0, (10, 0));
    assert_eq!(cache.on_leased(at(0), leased), Some(Ok(())));
    assert_eq!(cache.crowded_out(at(1), 10, 0).short, Shortage::Concurrency);
    cache.settle(at(2), 10, 10);
    assert_eq!(cache.crowded_out(at(2), 10, 0).short, Shortage::Tokens);
}

#[test]
fn nobody_else_takes_the_slot_of_the_asking_request() {
    let limits = BudgetLimits {
        concurrent_requests: Some(8),
        ..LIMITS
    };
    let (mut cache, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    // The second one runs beside the first, with a slot to spare, and tokens that one waited for who has left.
    for (millis, waiting) in [(0, 0), (1, 100)] {
        (0..waiting / 100).for_each(|_| cache.on_waiting(100));
        let leased = asked_with(limits, &mut cache, &mut cell, millis, (50, 0));
        (0..waiting / 100).for_each(|_| cache.on_waited(100));
        assert_eq!(cache.on_leased(at(millis), leased), Some(Ok(())));
    }
    // What nobody waits for any more goes back.
    cache.settle_up(at(1));
    assert_eq!(cache.clone().reserve(at(2), 10, 0), Ok(()), "it has a slot");
    let leased = asked_with(limits, &mut cache, &mut cell, 2, (400, 0));
    assert_eq!(cache.reserve(at(3), 10, 0), Err(NotReserved::Asking));
    assert_eq!(cache.on_leased(at(4), leased), Some(Ok(())));
}
