//! Tasks that ask a budget for a lease, each with a book of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_core::budget::{BudgetLimits, Lease, LeaseCache, LeaseholderId, Rate};
use tidegate_core::cells::{CellCall, CellId};
use tidegate_core::ids::BudgetId;

use super::{Place, now};

/// How long each lease took to get.
pub async fn one_task(cells: Arc<Place>, until: Instant, holder: u64) -> Vec<Duration> {
    let cell = CellId::Budget(BudgetId {
        tenant: "bench".into(),
        name: "all".into(),
    });
    let limits = BudgetLimits {
        tokens: Some(Rate::per_minute(Rate::MOST)),
        requests: Some(Rate::per_minute(Rate::MOST)),
        ..BudgetLimits::default()
    };
    let mut book = LeaseCache::new(LeaseholderId(holder), now());
    let mut took = Vec::new();
    while Instant::now() < until {
        let lease = book.ask(now(), Some((TOKENS, 0)), limits, TTL);
        let asked = Instant::now();
        let reply = cells.call(&cell, lease.into_command()).await.expect("a reply");
        took.push(asked.elapsed());
        let leased = Lease::read(reply).expect("a lease");
        book.on_leased(now(), leased)
            .expect("it is awaited")
            .expect("there is plenty");
        book.settle(now(), TOKENS, TOKENS);
    }
    took
}

/// Few enough that no rate of commands uses the budget up.
const TOKENS: u64 = 10;
const TTL: Duration = Duration::from_secs(30);
