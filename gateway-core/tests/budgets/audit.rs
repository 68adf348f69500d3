//! The checker of a fleet. It knows what requests took from the engines that served them, and what is on its way from
//! watching messages; of gateways it believes nothing but what their leases hold. It checks, at each moment, that every
//! account stands as the engines say, and that no window has admitted more than the budget promises.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::budget::{BudgetCell, BudgetCommand, BudgetReply, LeaseAccount, Rate, Report};
use tidegate_core::cells::{CellCommand, CellReply, CellState};
use tidegate_core::time::Timestamp;
use tidegate_virtual::{Passing, ProcessId, Traffic};

use crate::window::Windows;

/// What is known of a fleet.
pub struct Audit {
    seed: u64,
    holders: BTreeMap<ProcessId, Holder>,
    /// Those of whom something has changed at this moment.
    changed: BTreeSet<ProcessId>,
    windows: Windows,
    /// Of all that live.
    debt: u64,
    cell_debt: u64,
    /// Tokens that requests took which have ended.
    pub taken: u64,
    /// Tokens that running requests took beyond what they had reserved.
    pub overrun: u64,
}

/// What is known of one process.
#[derive(Default)]
struct Holder {
    /// What its requests reserved, those that run, and took, those that have ended.
    spent: u64,
    /// What its account was when it was last looked at.
    account: LeaseAccount,
    /// Its last report: sent, and heard by the cell.
    sent: u64,
    heard: u64,
    /// What the cell has heard that it spent, with what it granted since, and gave back.
    told_spent: u64,
    returned: u64,
    /// What the cell has granted a request that waits, in a reply that has not come yet, to that report.
    granted: Option<(u64, u64)>,
    /// Commands that it sent.
    calls: u64,
    is_dead: bool,
    /// What of it counts as admitted.
    counted: u64,
}

impl Audit {
    /// Nothing has happened yet.
    pub fn new(seed: u64, rate: Rate) -> Self {
        Self {
            seed,
            holders: BTreeMap::new(),
            changed: BTreeSet::new(),
            windows: Windows::new(rate.per_minute, rate.burst),
            debt: 0,
            cell_debt: 0,
            taken: 0,
            overrun: 0,
        }
    }

    /// An engine has been sent a request.
    pub fn on_dispatched(&mut self, process: ProcessId, reserved: u64) {
        self.living(process, |holder| holder.spent += reserved);
    }

    /// A request that an engine was sent is over.
    pub fn on_ended(&mut self, process: ProcessId, reserved: u64, takes: u64) {
        if self.holder(process).is_dead {
            return;
        }
        self.living(process, |holder| holder.spent = holder.spent + takes - reserved);
        self.taken += takes;
        self.overrun += takes.saturating_sub(reserved);
    }

    /// The process is about to die.
    pub fn on_death(&mut self, process: ProcessId) {
        let mut debt = 0;
        self.living(process, |holder| {
            debt = holder.debt();
            holder.is_dead = true;
        });
        self.debt -= debt;
    }

    /// Something passes between a process and the budget's cell.
    pub fn on_traffic(&mut self, traffic: &Traffic<'_>) {
        match traffic.what {
            Passing::Sent {
                command: CellCommand::Budget(command),
            } => {
                let holder = self.holder(traffic.from);
                holder.calls += 1;
                if let Some(report) = report(command) {
                    holder.sent = holder.sent.max(report.sequence);
                }
            }
            Passing::Applied {
                command: CellCommand::Budget(command),
                reply: CellReply::Budget(reply),
                state: CellState::Budget(cell),
            } => self.on_applied(traffic.from, command, reply, cell),
            Passing::Replied {
                reply: CellReply::Budget(BudgetReply::Leased(leased)),
            } => {
                let holder = self.holder(traffic.from);
                // A reply to anything but the last report is not looked at.
                let is_this = |granted: &(u64, u64)| granted.0 == leased.sequence && holder.sent == leased.sequence;
                holder.granted = holder.granted.filter(|granted| !is_this(granted));
            }
            Passing::Sent { .. } | Passing::Applied { .. } | Passing::Replied { .. } => {}
        }
    }

    /// A request that waits for the cell is admitted when the cell grants what it needs. If the reply gets lost, that is
    /// taken back with the next report.
    fn on_applied(&mut self, from: ProcessId, command: &BudgetCommand, reply: &BudgetReply, cell: &BudgetCell) {
        self.cell_debt = cell.debt();
        let Some(report) = report(command) else { return };
        let holder = self.holder(from);
        if report.sequence <= holder.heard {
            return;
        }
        holder.heard = report.sequence;
        (holder.told_spent, holder.returned) = (report.tokens.spent, report.tokens.returned);
        holder.granted = None;
        if let (BudgetCommand::Lease(lease), BudgetReply::Leased(leased)) = (command, reply) {
            let need = lease.need.filter(|_| leased.denied.is_none());
            holder.granted = need.map(|need| (report.sequence, need.tokens));
            holder.told_spent += holder.granted();
        }
    }

    /// Everything that happens at this moment has happened; so the accounts of those stand of whom a task has run.
    pub fn check(&mut self, now: Timestamp, active: impl Iterator<Item = (ProcessId, LeaseAccount)>) {
        let seed = self.seed;
        for (process, account) in active {
            let holder = self.holder(process);
            assert_eq!(
                holder.spent, account.spent,
                "seed {seed}, {now:?}, {process:?}: what requests took, and its account"
            );
            let before = holder.debt();
            holder.account = account;
            let debt = holder.debt();
            self.debt = self.debt + debt - before;
        }
        let (mut more, mut less) = (0, 0);
        for process in std::mem::take(&mut self.changed) {
            let Some(holder) = self.holders.get_mut(&process) else {
                continue;
            };
            let admitted = holder.admitted();
            let before = std::mem::replace(&mut holder.counted, admitted);
            more += admitted.saturating_sub(before);
            less += before.saturating_sub(admitted);
        }
        let debt = self.debt + self.cell_debt;
        self.windows
            .on_admitted(now.as_micros(), more as f64 - less as f64, debt as f64);
        let beyond = self.windows.worst;
        assert!(beyond <= 0.0, "seed {seed}, {now:?}: a window admits {beyond} too much");
    }

    /// Everything has ended and been told: what the cell knows to be spent is what requests took at those that live, and
    /// of the dead what it has heard. What it granted a request whose client had left by then counts as spent until its
    /// location reports again; and where a location's last report got lost, and whoever would have repeated it was
    /// interrupted, the cell has written off what it held: that befalls few.
    pub fn check_told(&self, spent: u64) {
        let seed = self.seed;
        let living = || self.holders.iter().filter(|(_, holder)| !holder.is_dead);
        let unheard = living().filter(|(_, holder)| holder.sent > holder.heard).count();
        assert!(
            unheard * 200 <= living().count(),
            "seed {seed}: {unheard} last reports are lost"
        );
        for (process, holder) in living().filter(|(_, holder)| holder.sent == holder.heard) {
            let taken = holder.spent + holder.granted();
            assert_eq!(taken, holder.told_spent, "seed {seed}, {process:?}: taken, and told");
        }
        let told: u64 = self.holders.values().map(|holder| holder.told_spent).sum();
        assert_eq!(spent, told, "seed {seed}: what the cell knows of, and what it was told");
    }

    /// Commands that processes sent.
    pub fn calls(&self) -> impl Iterator<Item = (ProcessId, u64)> + '_ {
        self.holders.iter().map(|(process, holder)| (*process, holder.calls))
    }

    fn living(&mut self, process: ProcessId, change: impl FnOnce(&mut Holder)) {
        let holder = self.holder(process);
        if !holder.is_dead {
            change(holder);
        }
    }

    fn holder(&mut self, process: ProcessId) -> &mut Holder {
        self.changed.insert(process);
        self.holders.entry(process).or_default()
    }
}

impl Holder {
    /// What counts as admitted: what requests have, what was given back and is not there yet, and what is granted to a
    /// request that has not heard of it.
    fn admitted(&self) -> u64 {
        self.spent + self.account.returned.saturating_sub(self.returned) + self.granted()
    }

    fn granted(&self) -> u64 {
        self.granted.map_or(0, |(_, tokens)| tokens)
    }

    fn debt(&self) -> u64 {
        self.account.available().min(0).unsigned_abs()
    }
}

fn report(command: &BudgetCommand) -> Option<&Report> {
    match command {
        BudgetCommand::Lease(lease) => Some(&lease.report),
        BudgetCommand::Settle(report) => Some(report),
        BudgetCommand::Status { .. } | BudgetCommand::SetLimits(_) => None,
    }
}
