//! What goes on in a book while its cell is being asked.

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

fn asked(book: &mut LeaseCache, cell: &mut BudgetCell, millis: u64, need: u64) -> Leased {
    asked_with(LIMITS, book, cell, millis, (need, 0))
}

fn asked_with(
    limits: BudgetLimits,
    book: &mut LeaseCache,
    cell: &mut BudgetCell,
    millis: u64,
    need_and_kept_percent: (u64, u8),
) -> Leased {
    let lease = book.ask(at(millis), Some(need_and_kept_percent), limits, TTL);
    match cell.apply(at(millis), BudgetCommand::Lease(lease)) {
        BudgetReply::Leased(leased) => *leased,
        other @ (BudgetReply::Done | BudgetReply::Status(_)) => panic!("{other:?}"),
    }
}

/// A book that holds a hundred tokens, which a request waited for that has left, and its cell.
fn with_a_lease() -> (LeaseCache, BudgetCell) {
    let (mut book, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    book.on_waiting(100);
    let leased = asked(&mut book, &mut cell, 0, 70);
    assert_eq!(book.on_leased(at(0), leased), Some(Ok(())));
    book.on_waited(100);
    assert_eq!(book.held().tokens, 100);
    (book, cell)
}

#[test]
fn nobody_else_spends_what_the_asking_request_counts_on() {
    let (mut book, mut cell) = with_a_lease();
    assert_eq!(book.clone().reserve(at(1), 80, 0), Ok(()), "it holds as much");
    let leased = asked(&mut book, &mut cell, 1, 90);
    assert_eq!(book.reserve(at(2), 80, 0), Err(NotReserved::Asking));
    assert_eq!(book.on_leased(at(3), leased), Some(Ok(())));
    assert_eq!(book.debt(), 0);
}

#[test]
fn what_is_too_little_goes_back_where_others_find_it() {
    let (mut book, mut cell) = with_a_lease();
    let leased = asked(&mut book, &mut cell, 1, 1_000);
    assert_eq!(book.held().tokens, 0, "it is too little for the one that asks");
    assert!(book.on_leased(at(2), leased).is_some_and(|leased| leased.is_err()));
    // Of a thousand tokens seventy were spent.
    let mut other = LeaseCache::new(LeaseholderId(2), at(0));
    let leased = asked(&mut other, &mut cell, 3, 930);
    assert_eq!(other.on_leased(at(4), leased), Some(Ok(())));
}

#[test]
fn a_request_that_asks_for_less_than_a_denied_one_asks_and_others_wait() {
    let headroom_percent = 25;
    let (mut book, mut cell) = with_a_lease();
    let leased = asked_with(LIMITS, &mut book, &mut cell, 1, (800, headroom_percent));
    assert_eq!(
        book.on_leased(at(2), leased).unwrap().unwrap_err().short,
        Shortage::TooLarge
    );
    let denied =
        |book: &mut LeaseCache, tokens, headroom_percent| book.reserve(at(5), tokens, headroom_percent).unwrap_err();
    assert_eq!(
        denied(&mut book, 600, headroom_percent),
        NotReserved::Ask,
        "that says nothing of it"
    );
    let mut other = LeaseCache::new(LeaseholderId(2), at(0));
    let leased = asked(&mut other, &mut cell, 3, 200);
    assert_eq!(other.on_leased(at(3), leased), Some(Ok(())));
    let leased = asked_with(LIMITS, &mut book, &mut cell, 4, (600, headroom_percent));
    assert_eq!(
        book.on_leased(at(4), leased).unwrap().unwrap_err().short,
        Shortage::Priority
    );
    assert_eq!(
        denied(&mut book, 300, headroom_percent),
        NotReserved::Ask,
        "half as large"
    );
    assert_eq!(denied(&mut book, 600, 0), NotReserved::Ask, "of higher priority");
    assert!(matches!(
        denied(&mut book, 400, headroom_percent),
        NotReserved::Denied(_)
    ));
}

#[test]
fn what_was_counted_on_is_given_back_when_nobody_knows_the_reply() {
    let (mut book, mut cell) = with_a_lease();
    book.on_waiting(10);
    asked(&mut book, &mut cell, 1, 90);
    book.on_left();
    assert_eq!(book.held().tokens, 10, "the cell may have granted the others");
    assert_eq!(book.reserve(at(2), 11, 0), Err(NotReserved::Ask));
}

#[test]
fn a_reply_that_is_not_awaited_any_more_admits_nobody() {
    let (mut book, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    let late = asked(&mut book, &mut cell, 0, 400);
    let leased = asked(&mut book, &mut cell, 1, 700);
    assert!(!book.is_asking(late.sequence) && book.is_asking(leased.sequence));
    assert_eq!(book.on_leased(at(2), late), None);
    // What was granted then is there again for the one that asked after it.
    assert_eq!(book.on_leased(at(2), leased), Some(Ok(())));
}

#[test]
fn who_waits_is_lent_what_it_needs_and_a_small_budget_lends_nothing_ahead() {
    let (mut book, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    for waiting in [0, 300, 0] {
        (0..waiting / 100).for_each(|_| book.on_waiting(100));
        let leased = asked(&mut book, &mut cell, 0, 100);
        assert_eq!(book.on_leased(at(0), leased), Some(Ok(())));
        assert_eq!(book.held().tokens, waiting);
        (0..waiting / 100).for_each(|_| {
            book.on_waited(100);
            assert_eq!(book.reserve(at(0), 100, 0), Ok(()));
        });
    }
    assert_eq!(book.upkeep(at(2_000)), None);
}

#[test]
fn nobody_else_takes_the_place_of_the_asking_request() {
    let limits = BudgetLimits {
        concurrent_requests: Some(8),
        ..LIMITS
    };
    let (mut book, mut cell) = (LeaseCache::new(LeaseholderId(1), at(0)), BudgetCell::default());
    book.on_waiting(100);
    // The second one runs beside the first, with a place to spare.
    for millis in 0..2 {
        let leased = asked_with(limits, &mut book, &mut cell, millis, (50, 0));
        assert_eq!(book.on_leased(at(millis), leased), Some(Ok(())));
    }
    assert_eq!(book.clone().reserve(at(2), 10, 0), Ok(()), "it has a place");
    let leased = asked_with(limits, &mut book, &mut cell, 2, (400, 0));
    assert_eq!(book.reserve(at(3), 10, 0), Err(NotReserved::Asking));
    assert_eq!(book.on_leased(at(4), leased), Some(Ok(())));
}
