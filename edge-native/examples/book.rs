//! Measures what a request costs that reserves from a lease which is held, and settles: `book ROUNDS`. Prints one line of
//! JSON: medians over the rounds, in nanoseconds, and how many of all operations allocated memory.

use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use tidegate_core::budget::{
    BudgetCell, BudgetCommand, BudgetLimits, BudgetReply, LeaseCache, LeaseholderId, MOST_PER_DAY, Rate,
};
use tidegate_core::time::Timestamp;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok());
    let rounds: usize = rounds.expect("book ROUNDS");
    let mut world = World::new();
    let timed: Vec<[f64; 2]> = (0..rounds).map(|_| world.timed_round()).collect();
    let median = |operation: usize| {
        let mut values: Vec<f64> = timed.iter().map(|round| round[operation]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let allocating = world.allocating();
    println!(
        r#"{{"reserve_ns":{:.1},"settle_ns":{:.1},"allocating":{allocating},"operations":{}}}"#,
        median(0),
        median(1),
        2 * REQUESTS
    );
}

/// A cell, and a book that leases from it.
struct World {
    now: Timestamp,
    cell: BudgetCell,
    book: LeaseCache,
}

impl World {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        Self {
            now,
            cell: BudgetCell::default(),
            book: LeaseCache::new(LeaseholderId(1), now),
        }
    }

    /// A lease that lasts for a round.
    fn lease(&mut self) {
        let limits = BudgetLimits {
            tokens: Some(Rate::per_minute(Rate::MOST)),
            tokens_per_day: Some(MOST_PER_DAY),
            ..BudgetLimits::default()
        };
        let tokens = u64::from(REQUESTS) * TOKENS;
        self.book.on_waiting(tokens);
        let lease = self.book.ask(self.now, None, limits, TTL);
        self.book.on_waited(tokens);
        let BudgetReply::Leased(leased) = self.cell.apply(self.now, BudgetCommand::Lease(lease)) else {
            panic!("a lease gets a reply of its kind");
        };
        self.book
            .on_leased(self.now, *leased)
            .expect("it is awaited")
            .expect("there is plenty");
    }

    /// Nanoseconds for each reservation and each settlement.
    fn timed_round(&mut self) -> [f64; 2] {
        self.lease();
        let begun = Instant::now();
        (0..REQUESTS).for_each(|_| self.reserve());
        let reserved = begun.elapsed();
        let begun = Instant::now();
        (0..REQUESTS).for_each(|_| self.settle());
        let settled = begun.elapsed();
        [reserved, settled].map(|took| took.as_secs_f64() * 1e9 / f64::from(REQUESTS))
    }

    /// How many of a round's operations allocate.
    fn allocating(&mut self) -> usize {
        self.lease();
        let mut count = 0;
        for operation in [Self::reserve, Self::settle] {
            for _ in 0..REQUESTS {
                HEAP.reset_peak_usage();
                let before = HEAP.current_usage();
                operation(self);
                count += usize::from(HEAP.peak_usage() > before);
            }
        }
        count
    }

    fn reserve(&mut self) {
        self.now = self.now + Duration::from_micros(1);
        self.book.reserve(self.now, TOKENS, 0).expect("the lease has room");
    }

    fn settle(&mut self) {
        self.now = self.now + Duration::from_micros(1);
        self.book.settle(self.now, TOKENS, USED);
    }
}

const REQUESTS: u32 = 10_000;
const TOKENS: u64 = 1_000;
/// What a request turns out to take: less than it reserved.
const USED: u64 = 900;
const TTL: Duration = Duration::from_secs(30);
