//! Many clients that come at once, to several locations, for a budget that has enough for a few of them.

use std::time::Duration;

use tidegate_core::budget::{
    BudgetCell, BudgetCommand, BudgetLimits, BudgetReply, LeaseCache, Leased, LeaseholderId, MOST_WAITS, NotReserved,
    Rate,
};
use tidegate_core::time::Timestamp;

use crate::random::Random;

const SIZE: u64 = 100;
const LIMITS: BudgetLimits = BudgetLimits {
    tokens: Some(Rate {
        per_minute: 60,
        burst: 10 * SIZE,
    }),
    requests: None,
    tokens_per_day: None,
    concurrent_requests: None,
    day_starts_at_minute: 0,
};
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct Location {
    book: LeaseCache,
    /// How often each request that waits for a reply to another has waited.
    waiting: Vec<u32>,
    /// What is on its way to the cell, or back.
    command: Option<BudgetCommand>,
    reply: Option<Leased>,
    served: u64,
}

impl Location {
    fn new(id: u64) -> Self {
        Self {
            book: LeaseCache::new(LeaseholderId(id), NOW),
            waiting: Vec::new(),
            command: None,
            reply: None,
            served: 0,
        }
    }

    fn on_request(&mut self, waits: u32) {
        match self.book.reserve(NOW, SIZE, 0) {
            Ok(()) => self.served += 1,
            Err(NotReserved::Ask) => {
                let lease = self.book.ask(NOW, Some((SIZE, 0)), LIMITS, Duration::from_secs(30));
                self.command = Some(BudgetCommand::Lease(lease));
            }
            Err(NotReserved::Asking) if waits < MOST_WAITS => {
                self.book.on_waiting(SIZE);
                self.waiting.push(waits + 1);
            }
            Err(NotReserved::Asking | NotReserved::Denied(_) | NotReserved::CutOff { .. }) => {}
        }
    }

    fn on_reply(&mut self, leased: Leased, random: &mut Random) {
        self.served += u64::from(self.book.on_leased(NOW, leased) == Some(Ok(())));
        let mut woken = std::mem::take(&mut self.waiting);
        while !woken.is_empty() {
            // Each goes on sleeping until it looks: those not yet awake are still waiting.
            let next = random.within(0..woken.len() as u64) as usize;
            self.book.on_waited(SIZE);
            self.on_request(woken.swap_remove(next));
        }
    }
}

/// Lets things happen in an order that chance decides, until nothing is left to happen. Gives how many were served.
fn crowd(seed: u64, locations: u64, clients: u64) -> u64 {
    let mut random = Random(seed);
    let mut cell = BudgetCell::default();
    let mut places: Vec<_> = (0..locations).map(Location::new).collect();
    let mut to_come = clients;
    while to_come > 0
        || places
            .iter()
            .any(|place| place.command.is_some() || place.reply.is_some())
    {
        let place = &mut places[random.within(0..locations) as usize];
        if to_come > 0 && random.share() < 0.5 {
            to_come -= 1;
            place.on_request(0);
        } else if let Some(command) = place.command.take() {
            match cell.apply(NOW, command) {
                BudgetReply::Leased(leased) => place.reply = Some(*leased),
                other @ (BudgetReply::Done | BudgetReply::Status(_)) => panic!("{other:?}"),
            }
        } else if let Some(leased) = place.reply.take() {
            place.on_reply(leased, &mut random);
        }
    }
    places.iter().map(|place| place.served).sum()
}

#[test]
fn a_crowd_gets_all_that_there_is_wherever_it_comes_in() {
    for seed in 0..2_000 {
        let locations = 1 + seed % 5;
        assert_eq!(
            crowd(seed, locations, 24 + seed % 100),
            10,
            "seed {seed}, {locations} locations"
        );
    }
}
