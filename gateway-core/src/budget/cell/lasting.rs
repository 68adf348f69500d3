//! What of a budget's cell must survive a restart, and whether a command has changed it. Time fills buckets: that alone
//! is no change, since it does so after a restart as well.

use std::collections::BTreeMap;

use super::BudgetCell;
use crate::budget::limits::BudgetLimits;
use crate::budget::message::{BudgetCommand, BudgetReply, LeaseholderId, Totals};
use crate::time::{Moment, Timestamp};

/// What tells two lasting parts apart, but for what is learned of answers and until when leases run.
#[derive(PartialEq)]
struct Mark {
    configured: BudgetLimits,
    overridden: Option<BudgetLimits>,
    tokens: (Totals, u64),
    requests: (Totals, u64),
    day: (u64, u64),
}

impl BudgetCell {
    /// Runs one command; tells also whether what must survive a restart is another now.
    pub fn apply_and_compare(&mut self, now: impl Into<Moment>, command: BudgetCommand) -> (BudgetReply, bool) {
        let before = self.mark();
        let (renewed, teaches) = match &command {
            BudgetCommand::Lease(lease) => (Some(lease.report.holder), !lease.report.outputs.is_empty()),
            BudgetCommand::Settle(report) => (None, !report.outputs.is_empty()),
            BudgetCommand::Status { .. } | BudgetCommand::SetLimits(_) => (None, false),
        };
        let reply = self.apply(now, command);
        let is_held_longer = renewed.is_some_and(|holder| self.holds_anything(holder));
        (reply, teaches || is_held_longer || before != self.mark())
    }

    /// What must survive a restart, without who holds what: leases are figures of the moment. Their sum is kept, so
    /// that a cell that begins from this lends nothing twice; holders tell their accounts when they next report.
    #[must_use]
    pub fn without_holders(&self) -> Self {
        let ends = self.live().map(|holder| holder.expires).max();
        Self {
            configured: self.configured,
            overridden: self.overridden,
            tokens: self.tokens.orphaned(),
            requests: self.requests.orphaned(),
            day: self.day,
            day_tokens: self.day_tokens,
            holders: BTreeMap::new(),
            slots: 0,
            orphaned_until: self.orphaned_until.max(ends.unwrap_or_default()),
            head_of_line: None,
            outputs: self.outputs.clone(),
            now: self.now,
            wall: self.wall,
            days_until: self.days_until,
            sweep_at: Timestamp::NEVER,
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            configured: self.configured,
            overridden: self.overridden,
            tokens: (self.tokens.totals(), self.tokens.held()),
            requests: (self.requests.totals(), self.requests.held()),
            day: (self.day, self.day_tokens),
        }
    }

    fn holds_anything(&self, holder: LeaseholderId) -> bool {
        let holder = self.holders.get(&holder);
        holder.is_some_and(|holder| holder.tokens.held() > 0 || holder.requests.held() > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::budget::account::{Amount, LeaseAccount};
    use crate::budget::limits::Rate;
    use crate::budget::message::{Lease, Need, Report};
    use crate::budget::outputs::Outputs;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1_000)
    }

    fn limits() -> BudgetLimits {
        BudgetLimits {
            tokens: Some(Rate::per_minute(600)),
            ..BudgetLimits::default()
        }
    }

    fn report(sequence: u64) -> Report {
        Report {
            holder: LeaseholderId(7),
            sequence,
            tokens: LeaseAccount::default(),
            requests: LeaseAccount::default(),
            slots: 0,
            tokens_per_s: 0,
            outputs: Vec::new(),
        }
    }

    /// A lease for a request of so many tokens, or for none.
    fn lease(sequence: u64, tokens: Option<u64>) -> BudgetCommand {
        BudgetCommand::Lease(Lease {
            report: report(sequence),
            need: tokens.map(|tokens| Need {
                tokens,
                slots: 0,
                headroom_percent: 0,
            }),
            waiting: Amount::default(),
            want: Amount::default(),
            want_slots: 0,
            limits: limits(),
            ttl: Duration::from_secs(30),
        })
    }

    fn changes(cell: &mut BudgetCell, now: Timestamp, command: BudgetCommand) -> bool {
        cell.apply_and_compare(now, command).1
    }

    #[test]
    fn what_only_looks_or_finds_nothing_new_changes_nothing() {
        let mut cell = BudgetCell::default();
        let status = || BudgetCommand::Status { limits: limits() };
        assert!(changes(&mut cell, at(0), status()), "the limits are new");
        for seconds in 0..3 {
            assert!(!changes(&mut cell, at(seconds), status()));
        }
        assert!(!changes(&mut cell, at(3), lease(1, None)), "nothing was lent");
        assert!(!changes(&mut cell, at(3), BudgetCommand::Settle(report(2))));
    }

    #[test]
    fn what_is_spent_lent_learned_or_set_changes_it() {
        let mut cell = BudgetCell::default();
        cell.apply(at(0), lease(1, None));
        assert!(changes(&mut cell, at(1), lease(2, Some(10))));
        let mut spent = report(3);
        spent.tokens = LeaseAccount {
            granted: 10,
            spent: 12,
            returned: 0,
        };
        assert!(changes(&mut cell, at(2), BudgetCommand::Settle(spent.clone())));
        assert!(!changes(&mut cell, at(2), BudgetCommand::Settle(spent)), "told twice");
        let mut learned = report(4);
        learned.tokens.spent = 12;
        learned.tokens.granted = 12;
        let mut outputs = Outputs::default();
        outputs.on_output(40);
        learned.outputs = vec![("m".into(), outputs)];
        assert!(changes(&mut cell, at(3), BudgetCommand::Settle(learned)));
        assert!(changes(
            &mut cell,
            at(4),
            BudgetCommand::SetLimits(Some(BudgetLimits {
                tokens: Some(Rate::per_minute(60)),
                ..limits()
            }))
        ));
    }

    #[test]
    fn a_lease_that_is_held_longer_changes_when_what_is_lost_counts_as_spent() {
        let mut cell = BudgetCell::default();
        let mut wants = lease(1, None);
        if let BudgetCommand::Lease(lease) = &mut wants {
            lease.want.tokens = 100;
        }
        assert!(changes(&mut cell, at(0), wants));
        let mut held = report(2);
        held.tokens.granted = cell.holders[&LeaseholderId(7)].tokens.granted;
        let before = cell.without_holders();
        let mut renewal = lease(2, None);
        if let BudgetCommand::Lease(lease) = &mut renewal {
            lease.report = held;
        }
        assert!(changes(&mut cell, at(10), renewal));
        assert_ne!(cell.without_holders().orphaned_until, before.orphaned_until);
    }
}
